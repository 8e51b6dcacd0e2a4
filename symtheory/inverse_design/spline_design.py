"""Designs without a closed form: φ as a monotone spline, and said to be one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sympy as sp

from symtheory.errors import DerivationError
from symtheory.graph import functions
from symtheory.graph.node import Node
from symtheory.inverse_design.coordinates import STATEMENTS
from symtheory.inverse_design.design_record import Design
from symtheory.inverse_design.mechanisms import SPEEDS
from symtheory.inverse_design.profile import Signs, require_positive
from symtheory.inverse_design.target import SIZE, Target
from symtheory.lazy_module import LazyModule

if TYPE_CHECKING:
    import numpy as np
else:
    np = LazyModule("numpy")

LARGEST = 10.0
"""w up to which the spline is made."""

SMALLEST = 1e-3
"""The same from below, where θ(w) does not end at w = 0."""

KNOTS = 97
CLOSE = 1e-3
"""Relative error of φ'² between the knots that is still taken."""

TINY = 1e-3
"""dθ/dw here and at its square tells the power of w by which it starts."""

CROWDING = 3
"""Knots lie at powers of this order, dense at w = 0, where singularities of dθ/dw get weaker in the root."""


@dataclass(frozen=True)
class Table:
    """θ, φ and φ' at increasing knots; signs: as of a closed profile."""

    knots: Any
    values: Any
    slopes: Any
    signs: Signs


def design_spline(target: Target, mechanism: str, of: str, sizes: Sequence[object]) -> Design:
    """The design by a quadrature of dθ/dw in numbers.

    Raises ``DerivationError`` for mechanisms where φ is no quadrature, where dθ/dw is not positive up to w = 10, and
    where the spline is not monotone or misses φ'² between its knots.
    """
    if mechanism not in SPEEDS or of != "coordinates":
        raise DerivationError(f"numeric designs are for {' and '.join(SPEEDS)} of coordinates, not {mechanism} of {of}")
    squared = SPEEDS[mechanism](target)
    require_positive(squared, target)
    speed = _numeric(sp.sqrt(squared), target)
    table = _table(speed, target)
    error = _error(table, speed)
    if table.signs == "difference" and mechanism == "label_noise" and (np.diff(speed(table.values[1:])) > 0).any():
        raise DerivationError(f"R = {target.expression} falls somewhere: of two copies none need rest at the minimum")
    node = _copy("u", table, sizes)
    if table.signs == "difference":
        node = node - _copy("v", table, sizes)
    low = f"{SMALLEST:g} ≤ w ≤" if table.signs == "positive" else "|w| ≤"
    return Design(
        target=target,
        mechanism=mechanism,
        of=of,
        predictor=node,
        core=node,
        function=None,
        domain=f"{low} {LARGEST:g}, where φ is a spline; straight beyond",
        statement=STATEMENTS[mechanism],
        assumptions=(f"φ is numeric: a monotone cubic spline through {len(table.knots)} values",),
        signs=table.signs,
        confirmation=f"in numbers alone: φ'² between the knots is what the target asks for to {error:.1g}",
        is_numeric=True,
    )


def _numeric(speed: sp.Expr, target: Target) -> Callable[[Any], Any]:
    function = sp.lambdify(SIZE, speed, "numpy")

    def checked(w: Any) -> Any:
        with np.errstate(all="ignore"):
            values = np.asarray(function(np.asarray(w, dtype=float)), dtype=float) * np.ones(np.shape(w))
        if not (np.isfinite(values) & (values > 0)).all():
            raise DerivationError(f"dθ/dw for the target {target.expression} is not positive up to {LARGEST:g}")
        return values

    return checked


def _table(speed: Callable[[Any], Any], target: Target) -> Table:
    near, nearer = float(speed(TINY)), float(speed(TINY**2))
    exponent = np.log(nearer / near) / np.log(TINY)  # dθ/dw ~ w^exponent at zero
    if exponent <= -1 + 1e-3:
        w = np.geomspace(SMALLEST, LARGEST, KNOTS)
        theta = np.concatenate([[0.0], np.cumsum(_pieces(lambda x: speed(np.exp(x)) * np.exp(x), np.log(w)))])
        return Table(theta, w, 1 / speed(w), "positive")
    root = np.linspace(0.0, 1.0, KNOTS)
    w = LARGEST * root**CROWDING

    def in_root(x: Any) -> Any:
        return speed(np.maximum(LARGEST * x**CROWDING, TINY**4)) * CROWDING * LARGEST * x ** (CROWDING - 1)

    pieces = _pieces(in_root, root)
    theta = np.concatenate([[0.0], np.cumsum(pieces)])
    at_zero = 1 / nearer if abs(exponent) < 1e-3 else 0.0
    if exponent > 1e-3:
        raise DerivationError(f"the target {target.expression} asks for dθ/dw = 0 at w = 0: no spline has φ' = ∞")
    slopes = np.concatenate([[at_zero], 1 / speed(w[1:])])
    if at_zero and target.is_even:
        knots, values = (np.concatenate([-x[:0:-1], x]) for x in (theta, w))
        return Table(knots, values, np.concatenate([slopes[:0:-1], slopes]), "odd")
    return Table(theta, w, slopes, "difference" if target.is_even else "positive")


def _pieces(integrand: Callable[[Any], Any], ends: Any) -> Any:
    """Integrals over the pieces between `ends`, by Gauss–Legendre."""
    nodes, weights = np.polynomial.legendre.leggauss(20)
    middle, half = (ends[1:] + ends[:-1]) / 2, (ends[1:] - ends[:-1]) / 2
    return half * (weights * integrand(middle[:, None] + half[:, None] * nodes)).sum(-1)


def _error(table: Table, speed: Callable[[Any], Any]) -> float:
    """Largest relative error of φ'² in the middle between knots, for w from SMALLEST on."""
    from scipy.interpolate import CubicHermiteSpline

    spline = CubicHermiteSpline(table.knots, table.values, table.slopes)
    rises = np.diff(table.values) / np.diff(table.knots)
    if (np.maximum(table.slopes[1:], table.slopes[:-1]) > 3 * rises * (1 + 1e-9)).any():
        raise DerivationError("the spline through φ is not monotone")  # the criterion of Fritsch and Carlson
    middle = (table.knots[1:] + table.knots[:-1]) / 2
    values = np.abs(spline(middle))
    kept = values >= SMALLEST
    found, wanted = spline(middle, 1)[kept] ** 2, speed(values[kept]) ** -2
    error = float(np.abs(found / wanted - 1).max())
    if not error <= CLOSE:
        raise DerivationError(f"the spline misses φ'² by {error:.2g} between its knots: it changes too fast")
    return error


def _copy(name: str, table: Table, sizes: Sequence[object]) -> Node:
    parameter = functions.param(name, *sizes)
    if table.signs == "difference" or (table.signs == "positive" and table.values[0] == 0):
        parameter = functions.abs(parameter)
    return functions.spline(parameter, table.knots.tolist(), table.values.tolist(), table.slopes.tolist())
