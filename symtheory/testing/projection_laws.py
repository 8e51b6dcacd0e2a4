"""Laws of the horizontal projection: PP = P, ⟨Pξ, ζ⟩ = ⟨ξ, Pζ⟩, PX = 0 for vertical X, and Dφ[Pξ] = Dφ[ξ]."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from symtheory.testing.deviation import TOLERANCE, largest, relative, require, show_sizes
from symtheory.testing.generated_geometry import (
    Geometry,
    GeometrySubject,
    Metric,
    added,
    data_for,
    geometry_subject,
)


def projection_is_idempotent(
    geometry: Geometry,
    point: Mapping[str, Any],
    xi: Mapping[str, Any],
    metric: Metric = "mixed",
    tolerance: float = TOLERANCE,
) -> None:
    """Projecting twice is projecting once.

    point, xi: parameter → array of its shape. The deviation is the length of the difference over that of ξ, both in the
    metric. Raises ``AssertionError`` with the largest difference in each parameter; ``DeclarationError`` where the
    module has no ``project_horizontal``, for unbound sizes and a missing entry, ``ShapeError`` for a wrong shape.
    """
    subject = _subject(geometry, metric)
    theta, tangent = subject.arrays(point, "point"), subject.arrays(xi, "tangent")
    once = subject.torch.call("project_horizontal", theta, tangent)
    change = added((1.0, subject.torch.call("project_horizontal", theta, once)), (-1.0, once))
    off = relative(subject.size(theta, change), subject.size(theta, tangent))
    require(
        "projection_is_idempotent", f"projecting again in {subject.name} moves xi", off, tolerance, _in_parts(change)
    )


def projection_is_self_adjoint(
    geometry: Geometry,
    point: Mapping[str, Any],
    xi: Mapping[str, Any],
    zeta: Mapping[str, Any],
    metric: Metric = "mixed",
    tolerance: float = TOLERANCE,
) -> None:
    """⟨Pξ, ζ⟩ = ⟨ξ, Pζ⟩: what is projected away is orthogonal to what is kept.

    point, xi, zeta: parameter → array of its shape. The deviation is relative to ‖ξ‖ ‖ζ‖. Raises ``AssertionError``
    with both values, and as ``projection_is_idempotent``.
    """
    subject = _subject(geometry, metric)
    theta, first, second = (
        subject.arrays(v, what) for v, what in ((point, "point"), (xi, "tangent"), (zeta, "tangent"))
    )
    left = subject.torch.inner(theta, subject.torch.call("project_horizontal", theta, first), second)
    right = subject.torch.inner(theta, first, subject.torch.call("project_horizontal", theta, second))
    scale = subject.size(theta, first) * subject.size(theta, second)
    broken = f"the projection of {subject.name} is not orthogonal"
    details = f"<P xi, zeta> = {left:.6g} and <xi, P zeta> = {right:.6g}"
    require("projection_is_self_adjoint", broken, relative(left - right, scale), tolerance, details)


def projection_kills_vertical(
    geometry: Geometry,
    point: Mapping[str, Any],
    algebra: Mapping[str, Any],
    metric: Metric = "mixed",
    tolerance: float = TOLERANCE,
) -> None:
    """The field of a Lie algebra element has no horizontal part.

    algebra: factor name → element of its Lie algebra, as ``Factor.algebra_sample`` draws them, or as the module's
    ``vertical`` takes them where a module is given. The deviation is the length of what is left over that of the field.
    Raises ``AssertionError`` with what is left in each parameter, and as ``projection_is_idempotent``.
    """
    subject = _subject(geometry, metric)
    subject.require("vertical")
    theta = subject.arrays(point, "point")
    field = subject.torch.call("vertical", theta, subject.elements(algebra))
    left = subject.torch.call("project_horizontal", theta, field)
    off = relative(subject.size(theta, left), subject.size(theta, field))
    broken = f"the projection of {subject.name} leaves some of a vertical tangent"
    require("projection_kills_vertical", broken, off, tolerance, _in_parts(left))


def projection_keeps_the_differential(
    geometry: Geometry,
    point: Mapping[str, Any],
    xi: Mapping[str, Any],
    data: Mapping[str, Any] | None = None,
    metric: Metric = "mixed",
    tolerance: float = TOLERANCE,
) -> None:
    """The predictor changes along Pξ as it does along ξ: what is projected away is tangent to the orbit.

    data: input or constant → array (None: standard ones). The deviation is relative to the largest entry of Dφ[ξ], or
    of the change that one parameter's part of ξ makes, if that is larger. Raises ``AssertionError`` with the largest
    entry projected away in each parameter; ``DomainError`` where the derivative is not finite, and as
    ``projection_is_idempotent``.
    """
    subject = _subject(geometry, metric)
    theta, tangent = subject.arrays(point, "point"), subject.arrays(xi, "tangent")
    sample = data_for(geometry, subject, data)
    away = added((1.0, tangent), (-1.0, subject.torch.call("project_horizontal", theta, tangent)))
    zeros = added((0.0, tangent))
    alone = [subject.torch.differential(theta, {**zeros, name: tangent[name]}, sample) for name in tangent]
    alone += [subject.torch.differential(theta, {**zeros, name: away[name]}, sample) for name in away]
    change = subject.finite(subject.torch.differential(theta, away, sample), "the derivative of the predictor")
    broken = f"the projection of {subject.name} takes away what moves the predictor"
    off = relative(largest([change]), largest(alone))
    require("projection_keeps_the_differential", broken, off, tolerance, f"taken away: {_in_parts(away)}")


def _subject(geometry: Geometry, metric: Metric) -> GeometrySubject:
    subject = geometry_subject(geometry, metric)
    subject.require("project_horizontal")
    return subject


def _in_parts(tangent: Mapping[str, Any]) -> str:
    return show_sizes({name: largest([value]) for name, value in tangent.items()})
