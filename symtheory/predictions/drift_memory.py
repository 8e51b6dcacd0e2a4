"""What is left of noise in the sharpness where the loss is curved along ∇S⊥, so that a run forgets it."""

from __future__ import annotations

from functools import cache

import sympy as sp

from symtheory.predictions.edge_gap import GAP, stationary_oscillation
from symtheory.predictions.normal_form import SHARPENING, X, Y
from symtheory.predictions.stationary_second_moments import with_positive_factors
from symtheory.predictions.thermostat import limiting_drift_and_heat

DRIFT_CURVATURE = sp.Symbol("c", nonnegative=True)
"""Curvature of the loss along ∇S⊥: without momentum an offset of y that noise has left decays as e^(−ct), t = ηk."""

_ENERGY = sp.Symbol("q", positive=True)


@cache
def drift_noise_kept() -> sp.Expr:
    """The part of ``drift_noise_gap`` that remains under curvature c: 1 without, → 0 where noise is forgotten first.

    To first order in η at fixed ησ_u² and in the offset f, which x² and the rest s of y answer as a linear system does.
    The gap grows by (β/2α)E(f x²), by stationarity of E(f s) it is −(c/α)E(f s), and for f with memory e^(−rt) that is
    −(c/α)Var f times the transfer function from f to s at r; r is c times what α adds to y in a unit of time. Without
    curvature y makes good all of f. Momentum changes all rates alike, and so not the part.
    """
    drift, heat = limiting_drift_and_heat()
    # The moments of a narrow law: E(x² y) = q y.
    flow = sp.Matrix([sp.expand(2 * X * drift[X] + heat), drift[Y]]).subs(X, sp.sqrt(_ENERGY))
    rest = {_ENERGY: stationary_oscillation(), Y: -GAP}
    rate = DRIFT_CURVATURE * sp.diff(drift[Y], SHARPENING)
    answer = (rate * sp.eye(2) - flow.jacobian([_ENERGY, Y]).subs(rest)).solve(flow.diff(Y).subs(rest))
    return with_positive_factors(-answer[1])
