"""Whether a derived function of w is the target: symbolically, or at many points."""

from __future__ import annotations

from collections.abc import Sequence

import sympy as sp

from symtheory.errors import DerivationError
from symtheory.inverse_design.target import SIZE
from symtheory.inverse_design.time_limit import time_limit

POINTS = 40
CLOSE = 1e-10  # relative error at every point, evaluated with 30 digits
DIGITS = 30
SECONDS = 3.0  # for SymPy to see that a difference is zero


def grid(low: float = -2.0, high: float = 1.5) -> list[sp.Float]:
    """w > 0 between powers of ten."""
    return [sp.Float(10 ** (low + (high - low) * index / (POINTS - 1)), DIGITS) for index in range(POINTS)]


def agreement(derived: sp.Expr, wanted: sp.Expr, points: Sequence[sp.Expr] | None = None) -> str:
    """How two functions of ``SIZE`` were found to agree. Raises ``DerivationError`` with a point where they do not.

    The points decide in any case; SymPy's word is a stronger one that is not always to be had.
    """
    chosen = grid() if points is None else points
    for point in chosen:
        left, right = (expression.subs(SIZE, point).evalf(DIGITS) for expression in (derived, wanted))
        close = left.is_number and right.is_number and sp.Abs(left - right) <= CLOSE * sp.Max(sp.Abs(right), CLOSE)
        if close is False or not bool(close):
            raise DerivationError(
                f"the forward derivation gives {derived}, and the target is {wanted}: at w = {float(point):.3g} they "
                f"are {sp.N(left, 6)} and {sp.N(right, 6)}"
            )
    try:
        with time_limit(SECONDS, "the comparison"):
            is_equal = sp.simplify(sp.expand_log(derived - wanted, force=True)) == 0
    except DerivationError:
        is_equal = False
    return "symbolically" if is_equal else f"at {len(chosen)} points to 1e-10"
