"""Geometry of parametrizations made of matrices: trace forms, at symbolic size."""
