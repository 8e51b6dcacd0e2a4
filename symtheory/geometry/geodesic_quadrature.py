"""Closed-form geodesics by quadrature: straight lines, decoupled equations, and one-dimensional horizontal spaces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sympy as sp

from symtheory.geometry.christoffel_symbols import ChristoffelSymbols
from symtheory.geometry.geodesic import TIME
from symtheory.geometry.monotone_inverse import monotone_inverse
from symtheory.geometry.vanishes import vanishes

# The ratio p(t)/p(0): positive, since no coordinate crosses the zero where its equation is singular.
_RATIO = sp.Symbol("tau", positive=True)
_POINT = sp.Dummy("s", real=True)


@dataclass(frozen=True)
class ClosedForm:
    """Curves p_i(t), with {rate symbol: its value in initial values and velocities}."""

    curves: tuple[sp.Expr, ...]
    rates: dict[sp.Symbol, sp.Expr]


def decoupled_geodesic(
    christoffel: ChristoffelSymbols, start: Sequence[sp.Symbol], velocity: Sequence[sp.Symbol]
) -> ClosedForm | None:
    """Solve p_i'' + Γ_i(p_i) p_i'² = 0 for each i, or None if the equations are coupled or have no closed inverse."""
    for (i, k, l), value in christoffel.items():
        if not i == k == l or value.free_symbols & (set(christoffel.coordinates) - {christoffel.coordinates[i]}):
            return None
    curves: list[sp.Expr] = []
    rates: dict[sp.Symbol, sp.Expr] = {}
    for i, coordinate in enumerate(christoffel.coordinates):
        symbol = christoffel.get(i, i, i)
        exponent = sp.cancel(symbol * coordinate)
        if symbol == 0:
            curves.append(start[i] + velocity[i] * TIME)
        elif exponent.has(coordinate):
            curve = _quadrature(symbol, coordinate, start[i], velocity[i])
            if curve is None:
                return None
            curves.append(curve)
        else:
            rate = sp.Symbol(f"b_{coordinate.name}", real=True)
            ratio = _power_law(_RATIO**exponent, rate)
            if ratio is None:
                return None
            rates[rate] = velocity[i] / start[i]
            curves.append(start[i] * ratio)
    return ClosedForm(tuple(curves), rates)


def _power_law(integrand: sp.Expr, rate: sp.Symbol) -> sp.Expr | None:
    """τ(t) with ∫_1^τ integrand dτ = rate · t, for an integrand that is one at τ = 1."""
    primitive = sp.integrate(integrand, _RATIO)
    return monotone_inverse(primitive, _RATIO, primitive.subs(_RATIO, 1) + rate * TIME)


def _quadrature(symbol: sp.Expr, coordinate: sp.Symbol, start: sp.Symbol, velocity: sp.Symbol) -> sp.Expr | None:
    """p(t) from F(p) = F(p_0) + F'(p_0) ξ t with F' = exp(∫Γ): p' F'(p) is constant along a geodesic."""
    slope = sp.exp(sp.integrate(symbol.xreplace({coordinate: _POINT}), _POINT))
    primitive = sp.integrate(slope, _POINT)
    if primitive.has(sp.Integral) or slope.has(sp.Integral):
        return None
    value = primitive.xreplace({_POINT: start}) + slope.xreplace({_POINT: start}) * velocity * TIME
    return monotone_inverse(primitive, _POINT, value)


def horizontal_geodesic(
    metric: sp.MatrixBase,
    direction: Sequence[sp.Expr],
    coordinates: Sequence[sp.Symbol],
    start: Sequence[sp.Symbol],
    velocity: Sequence[sp.Symbol],
) -> ClosedForm | None:
    """The horizontal curve at constant speed, where the horizontal space is spanned by one `direction`.

    If the log-velocities h_i/p_i have constant ratios r_i to the first that is not zero, the curve is
    p_i = p_i0 τ^{r_i}; its arc length fixes τ(t). None if the ratios vary or the arc length has no closed inverse.
    """
    logarithmic = [h / p for h, p in zip(direction, coordinates, strict=True)]
    leading = next(place for place, value in enumerate(logarithmic) if value != 0)
    powers = [sp.cancel(value / logarithmic[leading]) for value in logarithmic]
    if any(power.free_symbols & set(coordinates) for power in powers):
        return None
    ray = [p * _RATIO**power for p, power in zip(coordinates, powers, strict=True)]
    tangent = sp.Matrix([sp.diff(value, _RATIO) for value in ray])
    moved = metric.xreplace(dict(zip(coordinates, ray, strict=True)))
    square = sp.cancel((tangent.T * moved * tangent)[0])
    speed = _exact_root(sp.factor(sp.cancel(square / square.subs(_RATIO, 1))))
    if speed is None:
        return None
    rate = sp.Symbol("b", real=True)
    ratio = _power_law(speed, rate)
    if ratio is None:
        return None
    curves = tuple(p * ratio**power for p, power in zip(start, powers, strict=True))
    return ClosedForm(curves, {rate: velocity[leading] / start[leading]})


def _exact_root(square: sp.Expr) -> sp.Expr | None:
    """The positive square root where it is free of radicals of sums and of coordinates, else None."""
    if square.free_symbols - {_RATIO}:
        return None
    root = sp.sqrt(square)
    return root if vanishes(root**2 - square) and not any(p.base.is_Add for p in root.atoms(sp.Pow)) else None
