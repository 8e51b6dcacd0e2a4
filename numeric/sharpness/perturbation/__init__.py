"""Sharpness by perturbing the parameters within a ball: the worst case and the average."""
