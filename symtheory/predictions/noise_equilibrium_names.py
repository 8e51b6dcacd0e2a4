"""Names that the noise equilibrium is known by: its mechanism and its generated functions."""

from __future__ import annotations

MECHANISM = "noise_equilibrium"

VECTOR, FIELDS, MOVE, SIGNS = (f"{MECHANISM}_{part}" for part in ("vector", "fields", "move", "signs"))
"""A point as a vector, the vector fields of the group, its orbits, and how gradients move along: what a group tells."""

CHARGES, DRIFT, GRAMS = (f"{MECHANISM}_{part}" for part in ("charges", "drift", "grams"))
VELOCITY, RATES = (f"{MECHANISM}_{part}" for part in ("velocity", "rates"))
"""What follows from those, the same text for every graph."""

SOURCE = "Ziyin et al. on noise equilibrium (2402.07193); the convex form is derived here"
