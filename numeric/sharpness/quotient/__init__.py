"""Sharpness on the quotient by a model's symmetries: the geodesic ball and its worst case and average."""
