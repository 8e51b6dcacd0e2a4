"""Sharpness on the quotient by a model's symmetries: the geodesic ball, its worst case and its average."""

from __future__ import annotations

from numeric.sharpness.quotient.geodesic import Geodesic, geodesic
from numeric.sharpness.quotient.geodesic_ball import GeodesicBall

__all__ = ["Geodesic", "GeodesicBall", "geodesic"]
