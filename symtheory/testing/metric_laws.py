"""Laws of a metric: ⟨ξ, ζ⟩ = ⟨ζ, ξ⟩, ⟨ξ, ξ⟩ > 0 for ξ ≠ 0, and ⟨g∗ξ, g∗ζ⟩ at g·θ = ⟨ξ, ζ⟩ at θ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from symtheory.testing.deviation import TOLERANCE, relative, require, show_sizes
from symtheory.testing.generated_geometry import Geometry, Metric, geometry_subject


def metric_is_symmetric(
    geometry: Geometry,
    point: Mapping[str, Any],
    xi: Mapping[str, Any],
    zeta: Mapping[str, Any],
    metric: Metric = "mixed",
    tolerance: float = TOLERANCE,
) -> None:
    """``inner`` has the same value with its two tangents exchanged.

    point, xi, zeta: parameter → array of its shape. The deviation is relative to ‖ξ‖ ‖ζ‖. Raises ``AssertionError``
    with both values; ``DeclarationError`` for unbound sizes and a missing entry, ``ShapeError`` for a wrong shape.
    """
    subject = geometry_subject(geometry, metric)
    theta, first, second = (
        subject.arrays(v, what) for v, what in ((point, "point"), (xi, "tangent"), (zeta, "tangent"))
    )
    one, other = subject.torch.inner(theta, first, second), subject.torch.inner(theta, second, first)
    scale = subject.size(theta, first) * subject.size(theta, second)
    broken = f"{subject.name} has another inner product with its tangents exchanged"
    details = f"<xi, zeta> = {one:.6g} and <zeta, xi> = {other:.6g}"
    require("metric_is_symmetric", broken, relative(one - other, scale), tolerance, details)


def metric_is_positive(geometry: Geometry, point: Mapping[str, Any], metric: Metric = "mixed") -> None:
    """The metric at the point, as a matrix over all coordinates, has positive eigenvalues alone.

    point: parameter → array of its shape; as many coordinates as there are entries, so for small models. Positive
    means: above rounding of the largest eigenvalue. Raises ``AssertionError`` with the smallest and the largest
    eigenvalue and the share that each parameter has in the direction of the smallest; ``DomainError`` where the metric
    is not finite, ``DeclarationError`` and ``ShapeError`` as the other laws.
    """
    subject = geometry_subject(geometry, metric)
    theta = subject.arrays(point, "point")
    matrix = subject.finite(subject.torch.metric_matrix(theta), "the metric")
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    if values[0] > len(values) * np.finfo(matrix.dtype).eps * abs(values[-1]):
        return
    ends = np.cumsum([value.size for value in theta.values()])[:-1]
    shares = {name: float((part**2).sum()) for name, part in zip(theta, np.split(vectors[:, 0], ends), strict=True)}
    raise AssertionError(
        f"metric_is_positive: {subject.name} has eigenvalues from {values[0]:.3g} to {values[-1]:.3g}; the first one's "
        f"direction lies in {show_sizes(shares)}"
    )


def metric_is_invariant(
    geometry: Geometry,
    point: Mapping[str, Any],
    g: Mapping[str, Any],
    xi: Mapping[str, Any],
    zeta: Mapping[str, Any],
    metric: Metric = "mixed",
    tolerance: float = TOLERANCE,
) -> None:
    """Every factor named in ``g`` is an isometry: tangents that are pushed forward keep their inner product.

    g: factor name → element, as ``group_elements`` draws them, each of which then acts alone; or all that the module's
    ``act`` takes, where a module is given. Tangents are pushed by the differential of ``act``. The deviation is
    relative to ‖ξ‖ ‖ζ‖ at the point. Raises ``AssertionError`` naming the factor, with both values;
    ``DeclarationError`` where the module has no ``act``.
    """
    subject = geometry_subject(geometry, metric)
    subject.require("act")
    theta, first, second = (
        subject.arrays(v, what) for v, what in ((point, "point"), (xi, "tangent"), (zeta, "tangent"))
    )
    here = subject.torch.inner(theta, first, second)
    scale = subject.size(theta, first) * subject.size(theta, second)
    for name, element in subject.one_by_one(g):
        moved, *pushed = subject.torch.moved(theta, element, [first, second])
        there = subject.torch.inner(moved, *pushed)
        broken = f"factor '{name}' changes the inner product of {subject.name}"
        details = f"<xi, zeta> was {here:.6g} and became {there:.6g}"
        require("metric_is_invariant", broken, relative(there - here, scale), tolerance, details)
