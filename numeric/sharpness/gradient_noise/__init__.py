"""Sharpness as the noise of stochastic gradients sees it: along batch gradients, and against their covariance."""
