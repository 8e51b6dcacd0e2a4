"""The pullback of the predictor's metric."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sympy as sp

from symtheory.errors import MetricError
from symtheory.geometry.metrics.metric_family import MetricFamily

if TYPE_CHECKING:
    from symtheory.geometry.matrix.block_metric import BlockMetric
    from symtheory.geometry.matrix.model import MatrixModel
    from symtheory.graph.elementwise import ElementwiseModel


class Pullback(MetricFamily):
    """dφ ⊗ dφ: invariant always, but of rank one, so singular for more than one parameter per coordinate."""

    name = "pullback"
    loss = "squared"

    def on(self, model: ElementwiseModel) -> sp.ImmutableMatrix:
        """The k×k matrix (∂φ/∂θ_i)(∂φ/∂θ_j)."""
        gradient = model.gradient()
        return sp.ImmutableMatrix(gradient * gradient.T)

    def blocks(self, model: MatrixModel) -> BlockMetric:
        """Raises MetricError: the metric couples all parameters and is degenerate along orbits."""
        raise MetricError(
            f"the {self.name} metric is zero along orbits and couples all parameters, so it has no connection and no "
            "projection of its own: use those of 'invariant' or 'mixed'"
        )
