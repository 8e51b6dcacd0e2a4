"""Laws of the Levi-Civita connection: its formula, ∇g = 0, and Γ(ξ, η) = Γ(η, ξ)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from symtheory.testing.deviation import TOLERANCE, largest, relative, require, show_sizes
from symtheory.testing.generated_geometry import Geometry, GeometrySubject, Metric, added, geometry_subject, worst
from symtheory.testing.predictor import Arrays

CONNECTION_TOLERANCE = 1e-10
"""Largest deviation of Γ from the derivatives of the metric, both float64, relative to their terms: some hundred
roundings, and a condition number of the Gram matrices up to some thousands."""


def christoffel_matches_metric(
    geometry: Geometry,
    point: Mapping[str, Any],
    xi: Mapping[str, Any],
    metric: Metric = "mixed",
    tolerance: float = CONNECTION_TOLERANCE,
) -> None:
    """⟨Γ(ξ, ξ), ·⟩ = D_ξ⟨ξ, ·⟩ − ½ ∇⟨ξ, ξ⟩ with the derivatives of ``inner`` taken by automatic differentiation.

    point, xi: parameter → array of its shape. Deviations are relative, in each parameter, to the largest entry of the
    three terms, or of ⟨ξ, ·⟩ times that of ξ over that of the point. Raises ``AssertionError`` naming the parameter
    that is furthest off, with the deviation of each; ``DomainError`` where something is not finite,
    ``DeclarationError`` for unbound sizes and a missing entry, ``ShapeError`` for a wrong shape.
    """
    subject, theta, tangent = _subject(geometry, point, xi, metric)
    form = subject.torch.call("christoffel_form", theta, tangent)
    left = subject.torch.lowered(theta, form)
    along = subject.torch.lowered_rate(theta, tangent, tangent)
    energy = subject.torch.energy_gradient(theta, tangent)
    natural = subject.torch.lowered(theta, tangent)
    off = {}
    for name, value in left.items():
        expected = along[name] - energy[name]
        subject.finite([value, expected], "the connection")
        terms = largest([value, along[name], energy[name]])
        size = largest([natural[name]]) * largest([tangent[name]]) / max(largest([theta[name]]), np.finfo(float).tiny)
        off[name] = relative(value - expected, max(terms, size))
    broken = f"christoffel_form of {subject.name} is not the connection of its metric in '{worst(off)}'"
    require("christoffel_matches_metric", broken, largest(off.values()), tolerance, f"in parts: {show_sizes(off)}")


def connection_is_metric(
    geometry: Geometry,
    point: Mapping[str, Any],
    xi: Mapping[str, Any],
    eta: Mapping[str, Any],
    zeta: Mapping[str, Any],
    metric: Metric = "mixed",
    tolerance: float = TOLERANCE,
) -> None:
    """D_ξ⟨η, ζ⟩ = ⟨Γ(ξ, η), ζ⟩ + ⟨η, Γ(ξ, ζ)⟩: parallel transport keeps the metric.

    Γ(ξ, η) = ¼ (Γ(ξ + η, ξ + η) − Γ(ξ − η, ξ − η)). The deviation is relative to ‖Γ(ξ, η)‖ ‖ζ‖ + ‖η‖ ‖Γ(ξ, ζ)‖. Raises
    ``AssertionError`` with the three terms, and as ``christoffel_matches_metric``.
    """
    subject, theta, first = _subject(geometry, point, xi, metric)
    second, third = subject.arrays(eta, "tangent"), subject.arrays(zeta, "tangent")
    rate = subject.torch.inner_rate(theta, second, third, first)
    along_second, along_third = (_polarized(subject, theta, first, other) for other in (second, third))
    one = subject.torch.inner(theta, along_second, third)
    other = subject.torch.inner(theta, second, along_third)
    scale = subject.size(theta, along_second) * subject.size(theta, third)
    scale += subject.size(theta, second) * subject.size(theta, along_third)
    broken = f"the connection of {subject.name} does not keep its metric"
    details = f"the derivative is {rate:.6g} and the terms with Γ are {one:.6g} and {other:.6g}"
    off = relative(rate - one - other, max(scale, abs(rate)))
    require("connection_is_metric", broken, off, tolerance, details)


def connection_is_torsion_free(
    geometry: Geometry,
    point: Mapping[str, Any],
    xi: Mapping[str, Any],
    eta: Mapping[str, Any],
    metric: Metric = "mixed",
    tolerance: float = TOLERANCE,
) -> None:
    """Γ(ξ, η) = Γ(η, ξ), and Γ(ξ, ξ) is ``christoffel_form``, for Γ(ξ, η) = ½ d/ds christoffel_form(ξ + s η).

    In other words ``christoffel_form`` is a quadratic form in its tangent. The deviation is the length of the
    difference over that of both sides and of what Γ makes of ξ and η alone. Raises ``AssertionError`` with the
    largest difference in each parameter, and as ``christoffel_matches_metric``.
    """
    subject, theta, first = _subject(geometry, point, xi, metric)
    second = subject.arrays(eta, "tangent")
    own, others = (subject.torch.call("christoffel_form", theta, tangent) for tangent in (first, second))
    natural = subject.size(theta, own) + subject.size(theta, others)
    pairs = {
        "Γ(xi, eta) and Γ(eta, xi) differ": (
            subject.torch.connection(theta, first, second),
            subject.torch.connection(theta, second, first),
        ),
        "christoffel_form is not of degree two in xi": (own, subject.torch.connection(theta, first, first)),
    }
    for broken, (left, right) in pairs.items():
        change = added((1.0, left), (-1.0, right))
        scale = max(natural, subject.size(theta, left), subject.size(theta, right))
        off = relative(subject.size(theta, change), scale)
        details = show_sizes({name: largest([value]) for name, value in change.items()})
        require("connection_is_torsion_free", f"in {subject.name} {broken}", off, tolerance, details)


def _subject(
    geometry: Geometry, point: Mapping[str, Any], xi: Mapping[str, Any], metric: Metric
) -> tuple[GeometrySubject, dict[str, np.ndarray], dict[str, np.ndarray]]:
    subject = geometry_subject(geometry, metric)
    subject.require("christoffel_form")
    return subject, subject.arrays(point, "point"), subject.arrays(xi, "tangent")


def _polarized(subject: GeometrySubject, theta: Arrays, xi: Arrays, eta: Arrays) -> dict[str, np.ndarray]:
    plus, minus = (subject.torch.call("christoffel_form", theta, added((1.0, xi), (sign, eta))) for sign in (1.0, -1.0))
    return added((0.25, plus), (-0.25, minus))
