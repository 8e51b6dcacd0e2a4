"""The Hessian of the loss as an operator: its extreme eigenvalues and its trace."""
