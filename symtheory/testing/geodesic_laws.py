"""Laws of geodesics γ'' = −Γ(γ', γ'): constant speed, horizontal for good, and what their Taylor polynomials leave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log2
from typing import TYPE_CHECKING, Any

import numpy as np

from symtheory.errors import DeclarationError, DomainError
from symtheory.lazy_module import LazyModule
from symtheory.testing.deviation import TOLERANCE, relative, require
from symtheory.testing.generated_geometry import Geometry, GeometrySubject, Metric, added, geometry_subject
from symtheory.testing.predictor import Arrays

if TYPE_CHECKING:
    import scipy.integrate as integrate
else:
    integrate = LazyModule("scipy.integrate")

TURN = 0.25
"""Geodesics are followed for as long as the velocity needs to change by this part of itself, and at most to t = 1."""
SHORT_TURN = 0.05
"""The same for Taylor polynomials, which are compared at this time and at half of it."""
RELATIVE, ABSOLUTE = 1e-11, 1e-12
"""Error that one step of integration may make, relative to a coordinate and in units of the largest one."""
PLACES = 3
"""Points along the curve at which a law is examined."""


@dataclass(frozen=True)
class Curve:
    """times; points and velocities at those."""

    times: Sequence[float]
    points: list[dict[str, np.ndarray]]
    velocities: list[dict[str, np.ndarray]]


def geodesic_keeps_speed(
    geometry: Geometry,
    point: Mapping[str, Any],
    xi: Mapping[str, Any],
    metric: Metric = "mixed",
    tolerance: float = TOLERANCE,
) -> None:
    """⟨γ', γ'⟩ is constant along a solution of γ'' = −christoffel_form(γ, γ'), found by numerical integration.

    point, xi: parameter → array of its shape, in float64. The curve is followed until its velocity has turned by a
    quarter, and no further than t = 1. Raises ``AssertionError`` with the time at which the speed is furthest off;
    ``DomainError`` where the integration breaks down, ``DeclarationError`` for unbound sizes, for a missing entry and
    where the module has no ``christoffel_form``, ``ShapeError`` for a wrong shape.
    """
    subject = _subject(geometry, metric, "christoffel_form")
    theta, tangent = subject.arrays(point, "point"), subject.arrays(xi, "tangent")
    before = subject.torch.inner(theta, tangent, tangent)
    for time, place, velocity in _steps(_followed(subject, theta, tangent, TURN)):
        after = subject.torch.inner(place, velocity, velocity)
        broken = f"a geodesic of {subject.name} does not keep its speed until t = {time:.3g}"
        details = f"<γ', γ'> was {before:.6g} and became {after:.6g}"
        require("geodesic_keeps_speed", broken, relative(after - before, before), tolerance, details)


def geodesic_keeps_horizontality(
    geometry: Geometry,
    point: Mapping[str, Any],
    xi: Mapping[str, Any],
    metric: Metric = "mixed",
    tolerance: float = TOLERANCE,
) -> None:
    """A geodesic that starts along the horizontal part of ξ stays horizontal.

    Holds where the metric is invariant, as ``project_horizontal`` supposes. The deviation is the length of the vertical
    part of the velocity over that of the velocity. Raises as ``geodesic_keeps_speed``.
    """
    subject = _subject(geometry, metric, "christoffel_form", "project_horizontal")
    theta = subject.arrays(point, "point")
    tangent = subject.torch.call("project_horizontal", theta, subject.arrays(xi, "tangent"))
    for time, place, velocity in _steps(_followed(subject, theta, tangent, TURN)):
        kept = subject.torch.call("project_horizontal", place, velocity)
        vertical = subject.size(place, added((1.0, velocity), (-1.0, kept)))
        length = subject.size(place, velocity)
        broken = f"a geodesic of {subject.name} that starts horizontal is not at t = {time:.3g}"
        details = f"its velocity has length {length:.6g} and its vertical part {vertical:.3g}"
        require("geodesic_keeps_horizontality", broken, relative(vertical, length), tolerance, details)


def geodesic_has_taylor_slope(
    geometry: Geometry,
    point: Mapping[str, Any],
    xi: Mapping[str, Any],
    order: int = 2,
    metric: Metric = "mixed",
    tolerance: float = TOLERANCE,
) -> None:
    """``geodesic(…, order=p)`` leaves the integrated geodesic like t^(p+1), or faster: on a log scale with that slope.

    The slope is taken between a short time and half of it, and must be above p + ½; errors below ``tolerance`` times
    the length of the curve count as none. order: 1, 2 or 3. Raises ``AssertionError`` with the slope and both errors;
    ``DeclarationError`` for another order, and as ``geodesic_keeps_speed``.
    """
    if order not in (1, 2, 3):
        raise DeclarationError(f"order {order!r} of a geodesic is not available: choose 1, 2 or 3")
    subject = _subject(geometry, metric, "christoffel_form", "geodesic")
    theta, tangent = subject.arrays(point, "point"), subject.arrays(xi, "tangent")
    curve = _followed(subject, theta, tangent, SHORT_TURN, places=2)
    errors = []
    for time, place in zip(curve.times, curve.points, strict=True):
        polynomial = subject.torch.call("geodesic", theta, tangent, time, order=order)
        length = time * subject.size(theta, tangent)
        errors.append(relative(subject.size(theta, added((1.0, polynomial), (-1.0, place))), length))
    half, whole = errors
    if whole <= tolerance:
        return
    slope = log2(whole * curve.times[1] / (half * curve.times[0])) if half else float("inf")
    if not slope > order + 0.5:
        raise AssertionError(
            f"geodesic_has_taylor_slope: geodesic of order {order} in {subject.name} leaves the geodesic with slope "
            f"{slope:.2f}, where {order + 1} is due: relative errors {half:.2e} at t = {curve.times[0]:.3g} and "
            f"{whole:.2e} at t = {curve.times[1]:.3g}"
        )


def _subject(geometry: Geometry, metric: Metric, *functions: str) -> GeometrySubject:
    subject = geometry_subject(geometry, metric)
    subject.require("inner", *functions)
    return subject


def _steps(curve: Curve) -> Any:
    return zip(curve.times, curve.points, curve.velocities, strict=True)


def _followed(subject: GeometrySubject, point: Arrays, xi: Arrays, turn: float, places: int = PLACES) -> Curve:
    """The geodesic from the point along ξ at equally spaced times."""
    form = subject.finite(subject.torch.call("christoffel_form", point, xi), "christoffel_form")
    speed, turning = subject.size(point, xi), subject.size(point, form)
    end = min(1.0, turn * speed / turning) if turning else 1.0
    times = [end * (place + 1) / places for place in range(places)]
    shapes = {name: value.shape for name, value in point.items()}
    start = np.concatenate([value.ravel() for value in (*point.values(), *xi.values())])

    def rate(_: float, state: np.ndarray) -> np.ndarray:
        theta, velocity = _split(state, shapes)
        change = subject.torch.call("christoffel_form", theta, velocity)
        return np.concatenate([state[len(state) // 2 :], *(-change[name].ravel() for name in shapes)])

    states, begin = [], 0.0
    for time in times:
        solution = integrate.solve_ivp(
            rate,
            (begin, time),
            start,
            method="DOP853",
            first_step=time - begin,
            rtol=RELATIVE,
            atol=ABSOLUTE * np.abs(start).max(),
        )
        if not solution.success:
            raise DomainError(f"the geodesic of {subject.name} could not be followed to t = {end:.3g}")
        begin, start = time, solution.y[:, -1]
        states.append(_split(start, shapes))
    return Curve(times, [theta for theta, _ in states], [velocity for _, velocity in states])


def _split(
    state: np.ndarray, shapes: Mapping[str, tuple[int, ...]]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    ends = np.cumsum([np.prod(shape, dtype=int) for shape in shapes.values()] * 2)[:-1]
    parts = np.split(state, ends)
    names = list(shapes)
    whole = [part.reshape(shapes[name]) for part, name in zip(parts, names * 2, strict=True)]
    return dict(zip(names, whole[: len(names)], strict=True)), dict(zip(names, whole[len(names) :], strict=True))
