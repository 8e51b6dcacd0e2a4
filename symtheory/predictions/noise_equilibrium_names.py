"""Names that the noise equilibrium is known by: its mechanism and its generated functions."""

from __future__ import annotations

MECHANISM = "noise_equilibrium"

VECTOR, FIELDS, MOVE, SIGNS = (f"{MECHANISM}_{part}" for part in ("vector", "fields", "move", "signs"))
"""A point as a vector, the vector fields of the group, its orbits, and which way gradients move: what a group tells."""

TRANSPOSED, MOVE_GRADIENTS = (f"{MECHANISM}_{part}" for part in ("transposed", "move_gradients"))
"""The transposed generators on gradients, and gradients along an orbit: more than signs tell where biases make up."""

COUNT, SHIFTED, TAKEN, POSITION = (f"{MECHANISM}_{part}" for part in ("shifts", "shifted", "taken", "position"))
"""Of shifts: how many, what they change, what they take from gradients, and where those made up for stand."""

CHARGES, DRIFT, GRAM, CURVATURE = (f"{MECHANISM}_{part}" for part in ("charges", "drift", "gram", "curvature"))
VELOCITY, RATES = (f"{MECHANISM}_{part}" for part in ("velocity", "rates"))
"""What follows from those, the same text for every graph."""

SOURCE = "Ziyin et al. on noise equilibrium (2402.07193); the convex form is derived here"
