"""What is left of noise in the sharpness where the loss is curved along ∇S⊥, so that a run forgets it."""

from __future__ import annotations

from functools import cache

import sympy as sp

from symtheory.predictions.edge_gap import GAP, stationary_oscillation
from symtheory.predictions.normal_form import NOISE, X, Y, normal_form
from symtheory.predictions.symbols import ETA

DRIFT_CURVATURE = sp.Symbol("c", nonnegative=True)
"""Curvature of the loss along ∇S⊥: an offset of y that noise has left there decays as e^(−ct), in time t = ηk."""

_HEAT = sp.Symbol("T", positive=True)
_ENERGY = sp.Symbol("q", positive=True)


@cache
def drift_noise_kept() -> sp.Expr:
    """The part of ``drift_noise_gap`` that remains under curvature c: 1 without, → 0 where noise is forgotten first.

    To first order in η at fixed ησ_u² and in the offset f, which x² and the rest s of y answer as a linear system does.
    The gap grows by (β/2α)E(f x²), by stationarity of E(f s) it is −(c/α)E(f s), and for f with memory e^(−ct) that is
    −(c/α)Var f times the transfer function from f to s at c. Without curvature y makes good all of f.
    """
    step = normal_form()
    flow = sp.Matrix([_flow(step.mean_change(observable)) for observable in (X**2, Y)])
    rest = {_ENERGY: stationary_oscillation(), Y: -GAP}
    jacobian = flow.jacobian([_ENERGY, Y]).subs(rest)
    answer = (DRIFT_CURVATURE * sp.eye(2) - jacobian).solve(flow.diff(Y).subs(rest))
    return sp.factor(-answer[1])


def _flow(change: sp.Expr) -> sp.Expr:
    """The mean change in a time of one, with E(x² y) = q y: the moments of a narrow law."""
    scaled = sp.expand((change / ETA).subs(NOISE, sp.sqrt(_HEAT / ETA)))
    return sp.limit(scaled, ETA, 0).subs(X, sp.sqrt(_ENERGY))
