"""Fisher–Riemannian sharpness and what follows from it: covariance, basin, bound (Ahmed et al. 2606.20469)."""
