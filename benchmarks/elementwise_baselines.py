"""Torch functions of elementwise geometries as written by hand, for speed: what generated code is measured against.

Shared factors are computed once, and torch's fused forms (``addcmul``, ``addcdiv``, ``alpha=``) save passes over
memory. Nothing is changed in place. Every function takes a point, tangents xi and zeta, and a time t, as the
generated ones do: a number or a tensor ``(*batch)``, which rules out ``alpha=t``.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Point = dict[str, Tensor]
Function = Callable[[Point, Point, Point, float | Tensor], Point | Tensor]


def _weights(point: Point) -> tuple[Tensor, Tensor]:
    u, v = point.values()
    return u + v, u - v


def _halves(p: Tensor, q: Tensor) -> Point:
    half = q / 2
    return {"u": torch.add(half, p, alpha=0.5), "v": torch.add(-half, p, alpha=0.5)}


def _time(t: float | Tensor, point: Point) -> Tensor:
    like = next(iter(point.values()))
    return torch.as_tensor(t, dtype=like.dtype, device=like.device)[..., None]


def _line(point: Point, xi: Point, zeta: Point, t: float | Tensor) -> Point:
    time = _time(t, point)
    return {key: torch.addcmul(leaf, time, xi[key]) for key, leaf in point.items()}


def _at_unit_time(function: Callable[[Point, Point], Point]) -> Function:
    """A Taylor polynomial at time t from that at time 1, along t·xi."""

    def curve(point: Point, xi: Point, zeta: Point, t: float | Tensor) -> Point:
        time = _time(t, point)
        return function(point, {key: time * leaf for key, leaf in xi.items()})

    return curve


# The mixed metric of two weight coordinates, for u ⊙ v itself and for u ⊙ u − v ⊙ v in u ± v.


def _mixed_inner_2(p: Tensor, q: Tensor, xi: tuple[Tensor, Tensor], zeta: tuple[Tensor, Tensor]) -> Tensor:
    return torch.addcmul(q * q * (xi[0] * zeta[0]), p * p, xi[1] * zeta[1]).sum(-1)


def _mixed_christoffel_2(p: Tensor, q: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    a, b = x / p, y / q
    twice = a * b * 2
    return p * torch.addcmul(twice, b, b, value=-1), q * torch.addcmul(twice, a, a, value=-1)


def _mixed_quadratic_2(p: Tensor, q: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    a, b = x / p, y / q
    both = a * b
    first = a - torch.addcmul(both, b, b, value=-0.5)
    second = b - torch.addcmul(both, a, a, value=-0.5)
    return torch.addcmul(p, p, first), torch.addcmul(q, q, second)


def _mixed_cubic_2(p: Tensor, q: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    a, b = x / p, y / q
    both, a2, b2 = a * b, a * a, b * b
    first = torch.add(a - both, b2, alpha=0.5)
    first = torch.addcmul(
        torch.addcmul(first, a2, torch.add(b, a, alpha=-1 / 3)), b2, torch.add(a / 2, b, alpha=-2 / 3)
    )
    second = torch.add(b - both, a2, alpha=0.5)
    second = torch.addcmul(
        torch.addcmul(second, b2, torch.add(a, b, alpha=-1 / 3)), a2, torch.add(b / 2, a, alpha=-2 / 3)
    )
    return torch.addcmul(p, p, first), torch.addcmul(q, q, second)


# u ⊙ v


def _pairs(point: Point, xi: Point) -> tuple[Tensor, ...]:
    return (*point.values(), *xi.values())


def _uv(values: tuple[Tensor, Tensor]) -> Point:
    return dict(zip("uv", values, strict=True))


def _hadamard_horizontal(point: Point, xi: Point, zeta: Point, t: float | Tensor) -> Point:
    u, v, x, y = _pairs(point, xi)
    mean = torch.addcdiv(x / u, y, v) / 2
    return {"u": u * mean, "v": v * mean}


HADAMARD_MIXED: dict[str, Function] = {
    "inner": lambda p, x, z, t: _mixed_inner_2(p["u"], p["v"], (x["u"], x["v"]), (z["u"], z["v"])),
    "project_horizontal": _hadamard_horizontal,
    "christoffel_form": lambda p, x, z, t: _uv(_mixed_christoffel_2(*_pairs(p, x))),
    "geodesic 1": _line,
    "geodesic 2": _at_unit_time(lambda p, x: _uv(_mixed_quadratic_2(*_pairs(p, x)))),
    "geodesic 3": _at_unit_time(lambda p, x: _uv(_mixed_cubic_2(*_pairs(p, x)))),
    "geodesic exact": lambda p, x, z, t: _scaled(p, (x["u"] / p["u"] * (2 * _time(t, p)) + 1).sqrt()),
}


def _scaled(point: Point, ratio: Tensor) -> Point:
    return {key: leaf * ratio for key, leaf in point.items()}


# The invariant metric: every parameter by itself.


def _invariant_inner(point: Point, xi: Point, zeta: Point, t: float | Tensor) -> Tensor:
    terms = [xi[key] * zeta[key] for key in point]
    total = terms[0] / point[next(iter(point))] ** 2
    for key, term in list(zip(point, terms, strict=True))[1:]:
        total = torch.addcdiv(total, term, point[key] ** 2)
    return total.sum(-1)


def _invariant_quadratic(p: Tensor, x: Tensor) -> Tensor:
    return p + torch.addcmul(x, x / p, x, value=0.5)


def _invariant_cubic(p: Tensor, x: Tensor) -> Tensor:
    a = x / p
    return p + torch.addcmul(x, torch.add(a, a * a, alpha=1 / 3), x, value=0.5)


def _each(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Point, Point], Point]:
    return lambda point, xi: {key: function(leaf, xi[key]) for key, leaf in point.items()}


def _invariant_exact(point: Point, xi: Point, zeta: Point, t: float | Tensor) -> Point:
    time = _time(t, point)
    return {key: leaf * torch.exp(xi[key] / leaf * time) for key, leaf in point.items()}


def _invariant(horizontal: Function) -> dict[str, Function]:
    return {
        "inner": _invariant_inner,
        "project_horizontal": horizontal,
        "christoffel_form": lambda p, x, z, t: _each(lambda leaf, y: -(y**2) / leaf)(p, x),
        "geodesic 1": _line,
        "geodesic 2": _at_unit_time(_each(_invariant_quadratic)),
        "geodesic 3": _at_unit_time(_each(_invariant_cubic)),
        "geodesic exact": _invariant_exact,
    }


# u ⊙ u − v ⊙ v


def _squared_weights(point: Point, xi: Point) -> tuple[Tensor, ...]:
    return (*_weights(point), *_weights(xi))


def _squared_horizontal(point: Point, xi: Point, zeta: Point, t: float | Tensor) -> Point:
    u, v, x, y = _pairs(point, xi)
    # (u − v)(u + v) and not u² − v², which loses digits where u is near ±v.
    ratio = torch.addcmul(u * x, v, y, value=-1) / ((u - v) * (u + v))
    return {"u": u * ratio, "v": v * ratio}


def _squared_mixed_inner(point: Point, xi: Point, zeta: Point, t: float | Tensor) -> Tensor:
    return _mixed_inner_2(*_weights(point), _weights(xi), _weights(zeta))


def _squared_invariant_inner(point: Point, xi: Point, zeta: Point, t: float | Tensor) -> Tensor:
    p, q, x, y = _squared_weights(point, xi)
    z, w = _weights(zeta)
    return torch.addcdiv(x * z / p**2, y * w, q**2).sum(-1)


def _squared_exact(point: Point, xi: Point, zeta: Point, t: float | Tensor) -> Point:
    (u, v), (x, y) = point.values(), xi.values()
    return _scaled(point, ((x + y) / (u + v) * (2 * _time(t, point)) + 1).sqrt())


def _squared_invariant_exact(point: Point, xi: Point, zeta: Point, t: float | Tensor) -> Point:
    p, q, x, y = _squared_weights(point, xi)
    time = _time(t, point)
    return _halves(p * torch.exp(x / p * time), q * torch.exp(y / q * time))


def _squared_invariant_form(point: Point, xi: Point, zeta: Point, t: float | Tensor) -> Point:
    p, q, x, y = _squared_weights(point, xi)
    return _halves(-(x**2) / p, -(y**2) / q)


def _squared(function: Callable[[Tensor, Tensor], Tensor]) -> Function:
    def curve(point: Point, step: Point) -> Point:
        p, q, x, y = _squared_weights(point, step)
        return _halves(function(p, x), function(q, y))

    return _at_unit_time(curve)


SQUARED_MIXED: dict[str, Function] = {
    "inner": _squared_mixed_inner,
    "project_horizontal": _squared_horizontal,
    "christoffel_form": lambda p, x, z, t: _halves(*_mixed_christoffel_2(*_squared_weights(p, x))),
    "geodesic 1": _line,
    "geodesic 2": _at_unit_time(lambda p, x: _halves(*_mixed_quadratic_2(*_squared_weights(p, x)))),
    "geodesic 3": _at_unit_time(lambda p, x: _halves(*_mixed_cubic_2(*_squared_weights(p, x)))),
    "geodesic exact": _squared_exact,
}
SQUARED_INVARIANT: dict[str, Function] = {
    "inner": _squared_invariant_inner,
    "project_horizontal": _squared_horizontal,
    "christoffel_form": _squared_invariant_form,
    "geodesic 1": _line,
    "geodesic 2": _squared(_invariant_quadratic),
    "geodesic 3": _squared(_invariant_cubic),
    "geodesic exact": _squared_invariant_exact,
}


# u1 ⊙ u2 ⊙ u3


def _log_velocities(point: Point, xi: Point) -> tuple[list[Tensor], Tensor, Tensor]:
    """b_i = ξ_i/u_i, their sum and the sum of their squares."""
    b = [xi[key] / leaf for key, leaf in point.items()]
    square = torch.addcmul(torch.addcmul(b[0] * b[0], b[1], b[1]), b[2], b[2])
    return b, b[0] + b[1] + b[2], square


def _depth_inner(point: Point, xi: Point, zeta: Point, t: float | Tensor) -> Tensor:
    squares = [leaf * leaf for leaf in point.values()]
    products = [x * z for x, z in zip(xi.values(), zeta.values(), strict=True)]
    total = torch.addcmul(squares[1] * products[0], squares[0], products[1]) * squares[2]
    return torch.addcmul(total, squares[0] * squares[1], products[2]).sum(-1)


def _depth_horizontal(point: Point, xi: Point, zeta: Point, t: float | Tensor) -> Point:
    (u, v, w), (x, y, z) = point.values(), xi.values()
    return _scaled(point, torch.addcdiv(torch.addcdiv(x / u, y, v), z, w) / 3)


def _depth_form(point: Point, xi: Point, zeta: Point, t: float | Tensor) -> Point:
    b, total, square = _log_velocities(point, xi)
    twice = 2 * total
    pairs = zip(point.items(), b, strict=True)
    return {key: leaf * torch.addcmul(-square, c, twice - c) for (key, leaf), c in pairs}


def _depth_quadratic(point: Point, step: Point) -> Point:
    b, total, square = _log_velocities(point, step)
    constant, slope = square / 2, 1 - total
    pairs = zip(point.items(), b, strict=True)
    return {
        key: torch.addcmul(leaf, leaf, torch.addcmul(constant, c, torch.add(slope, c, alpha=0.5)))
        for (key, leaf), c in pairs
    }


def _depth_cubic(point: Point, step: Point) -> Point:
    b, total, square = _log_velocities(point, step)
    bend = 0.5 - total
    slope = torch.add(torch.addcmul(1 - total, total, total, value=4 / 3), square, alpha=-0.5)
    constant = square * torch.add(bend, total, alpha=1 / 3)
    result = {}
    for (key, leaf), c in zip(point.items(), b, strict=True):
        inner = torch.addcmul(slope, c, torch.add(bend, c, alpha=1 / 6))
        result[key] = torch.addcmul(leaf, leaf, torch.addcmul(constant, c, inner))
    return result


DEPTH_MIXED: dict[str, Function] = {
    "inner": _depth_inner,
    "project_horizontal": _depth_horizontal,
    "christoffel_form": _depth_form,
    "geodesic 1": _line,
    "geodesic 2": _at_unit_time(_depth_quadratic),
    "geodesic 3": _at_unit_time(_depth_cubic),
    "geodesic exact": lambda p, x, z, t: _scaled(p, (x["u1"] / p["u1"] * (3 * _time(t, p)) + 1) ** (1 / 3)),
}

BASELINES: dict[tuple[str, str], dict[str, Function]] = {
    ("hadamard", "mixed"): HADAMARD_MIXED,
    ("hadamard", "invariant"): _invariant(_hadamard_horizontal),
    ("depth_product", "mixed"): DEPTH_MIXED,
    ("depth_product", "invariant"): _invariant(_depth_horizontal),
    ("squared_difference", "mixed"): SQUARED_MIXED,
    ("squared_difference", "invariant"): SQUARED_INVARIANT,
}
"""(catalog name, metric) → function and order → the same by hand."""
