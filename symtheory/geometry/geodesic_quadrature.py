"""Closed-form geodesics by quadrature: straight lines, decoupled equations, and one-dimensional horizontal spaces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sympy as sp

from symtheory.geometry.christoffel_symbols import ChristoffelSymbols
from symtheory.geometry.geodesic import TIME
from symtheory.geometry.monotone_inverse import monotone_inverse
from symtheory.geometry.quadrature import Quadrature
from symtheory.geometry.vanishes import vanishes

# The ratio p(t)/p(0): positive, since no coordinate crosses the zero where its equation is singular.
_RATIO = sp.Symbol("tau", positive=True)
_POINT = sp.Dummy("s", real=True)
_BASE = sp.Dummy("base", positive=True)


@dataclass(frozen=True)
class ClosedForm:
    """Curves p_i(t), with {rate symbol: its value in initial values and velocities}, and the way back.

    velocities: the p_i'(0) with which the curves reach given end points when t = 1, in initial values and end points;
    for a horizontal curve one in the orbit of the end point. None where no closed form was found.
    positive: expressions that must be positive for such a curve to exist.
    """

    curves: tuple[sp.Expr, ...]
    rates: dict[sp.Symbol, sp.Expr]
    velocities: tuple[sp.Expr, ...] | None
    positive: tuple[sp.Expr, ...]


@dataclass(frozen=True)
class Ends:
    """Symbols of a geodesic, coordinate by coordinate: where it starts, how fast, and where it is when t = 1."""

    start: tuple[sp.Symbol, ...]
    velocity: tuple[sp.Symbol, ...]
    end: tuple[sp.Symbol, ...]


def decoupled_geodesic(christoffel: ChristoffelSymbols, ends: Ends) -> ClosedForm | None:
    """Solve p_i'' + Γ_i(p_i) p_i'² = 0 for each i, or None if the equations are coupled or have no closed inverse."""
    for (i, k, l), value in christoffel.items():
        if not i == k == l or value.free_symbols & (set(christoffel.coordinates) - {christoffel.coordinates[i]}):
            return None
    solved = ClosedForm((), {}, (), ())
    for i, coordinate in enumerate(christoffel.coordinates):
        single = _coordinate(christoffel.get(i, i, i), coordinate, ends.start[i], ends.velocity[i], ends.end[i])
        if single is None or single.velocities is None or solved.velocities is None:
            return None
        solved = ClosedForm(
            solved.curves + single.curves,
            solved.rates | single.rates,
            solved.velocities + single.velocities,
            solved.positive + single.positive,
        )
    return solved


def _coordinate(
    symbol: sp.Expr, coordinate: sp.Symbol, start: sp.Symbol, velocity: sp.Symbol, end: sp.Symbol
) -> ClosedForm | None:
    """One coordinate with its Christoffel symbol Γ(p): F' = exp(∫Γ) makes p' F'(p) constant along a geodesic."""
    exponent = sp.cancel(symbol * coordinate)
    if symbol == 0:
        return ClosedForm((start + velocity * TIME,), {}, (end - start,), ())
    if exponent.has(coordinate):
        slope = sp.exp(sp.integrate(symbol.xreplace({coordinate: _POINT}), _POINT))
        quadrature = Quadrature.of(slope, _POINT)
        curve = quadrature.curve(start, velocity) if quadrature else None
        if quadrature is None or curve is None:
            return None
        return ClosedForm((curve,), {}, (quadrature.slope(start, end),), ())
    rate = sp.Symbol(f"b_{coordinate.name}", real=True)
    quadrature = Quadrature.of(_RATIO**exponent, _RATIO)
    ratio = quadrature.curve(sp.S.One, rate) if quadrature else None
    if quadrature is None or ratio is None:
        return None
    needed = start * quadrature.slope(sp.S.One, end / start)
    return ClosedForm((start * ratio,), {rate: velocity / start}, (needed,), (end / start,))


def horizontal_geodesic(
    metric: sp.MatrixBase,
    direction: Sequence[sp.Expr],
    coordinates: Sequence[sp.Symbol],
    ends: Ends,
    predictor: sp.Expr,
) -> ClosedForm | None:
    """The horizontal curve at constant speed, where the horizontal space is spanned by one `direction`.

    If the log-velocities h_i/p_i have constant ratios r_i to the first that is not zero, the curve is
    p_i = p_i0 τ^{r_i}; its arc length fixes τ(t). None if the ratios vary or the arc length has no closed inverse.
    It reaches an orbit where the predictor, constant on orbits, has the value of that orbit.
    """
    logarithmic = [h / p for h, p in zip(direction, coordinates, strict=True)]
    leading = next(place for place, value in enumerate(logarithmic) if value != 0)
    powers = [sp.cancel(value / logarithmic[leading]) for value in logarithmic]
    if any(power.free_symbols & set(coordinates) for power in powers):
        return None
    ray = [p * _RATIO**power for p, power in zip(coordinates, powers, strict=True)]
    on_ray = dict(zip(coordinates, ray, strict=True))
    tangent = sp.Matrix([sp.diff(value, _RATIO) for value in ray])
    square = sp.cancel((tangent.T * metric.xreplace(on_ray) * tangent)[0])
    speed = _exact_root(sp.factor(sp.cancel(square / square.subs(_RATIO, 1))))
    quadrature = Quadrature.of(speed, _RATIO) if speed is not None else None
    rate = sp.Symbol("b", real=True)
    ratio = quadrature.curve(sp.S.One, rate) if quadrature else None
    if quadrature is None or ratio is None:
        return None
    curves = tuple(p * ratio**power for p, power in zip(ends.start, powers, strict=True))
    rates = {rate: ends.velocity[leading] / ends.start[leading]}
    from_start = sp.factor(predictor.xreplace(on_ray).xreplace(dict(zip(coordinates, ends.start, strict=True))))
    at_end = sp.factor(predictor.xreplace(dict(zip(coordinates, ends.end, strict=True))))
    last = monotone_inverse(from_start, _RATIO, at_end)
    if last is None:
        return ClosedForm(curves, rates, None, ())
    base, root = last.as_base_exp()
    needed = quadrature.slope(sp.S.One, _BASE**root).xreplace({_BASE: base})
    velocities = tuple(p * power * needed for p, power in zip(ends.start, powers, strict=True))
    return ClosedForm(curves, rates, velocities, (base,))


def _exact_root(square: sp.Expr) -> sp.Expr | None:
    """The positive square root where it is free of radicals of sums and of coordinates, else None."""
    if square.free_symbols - {_RATIO}:
        return None
    root = sp.sqrt(square)
    return root if vanishes(root**2 - square) and not any(p.base.is_Add for p in root.atoms(sp.Pow)) else None
