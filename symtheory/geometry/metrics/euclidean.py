"""The Euclidean metric."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sympy as sp

from symtheory.geometry.matrix.families import euclidean_blocks
from symtheory.geometry.metrics.metric_family import MetricFamily

if TYPE_CHECKING:
    from symtheory.geometry.matrix.block_metric import BlockMetric
    from symtheory.geometry.matrix.model import MatrixModel
    from symtheory.graph.elementwise import ElementwiseModel


class Euclidean(MetricFamily):
    """Σ dθ_i²: what plain gradient descent uses; flat, and in general not invariant under rescaling."""

    name = "euclidean"

    def on(self, model: ElementwiseModel) -> sp.ImmutableMatrix:
        """The k×k identity."""
        return sp.ImmutableMatrix(sp.eye(len(model.coordinates)))

    def blocks(self, model: MatrixModel) -> BlockMetric:
        """Σ ‖ξ_P‖²"""
        return euclidean_blocks(model)
