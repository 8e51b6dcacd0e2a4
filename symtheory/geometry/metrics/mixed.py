"""The mixed metric: each weight line measured by what it does to the predictor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sympy as sp

from symtheory.geometry.matrix.families import covariant_blocks
from symtheory.geometry.metrics.diagonal_in_weights import diagonal_in_weights
from symtheory.geometry.metrics.metric_family import MetricFamily
from symtheory.geometry.metrics.metric_weights import metric_weights

if TYPE_CHECKING:
    from symtheory.geometry.matrix.block_metric import BlockMetric
    from symtheory.geometry.matrix.model import MatrixModel
    from symtheory.graph.elementwise import ElementwiseModel


class Mixed(MetricFamily):
    """Σ (∂φ/∂p_i)² dp_i² in the weight coordinates p: the pullback metric without its terms across weight lines.

    Source: da Silva, Dangel, Oore 2025, arXiv 2505.05409.
    """

    name = "mixed"

    def on(self, model: ElementwiseModel) -> sp.ImmutableMatrix:
        """k×k matrix, positive where no derivative ∂φ/∂p_i is zero.

        Raises MetricError when the generators have no joint rational eigenbasis.
        """
        weights = metric_weights(model, self.name)
        gradient = model.gradient()
        # θ = M^{-1} p, so the derivatives along p are M^{-T} times those along θ.
        along_weights = weights.matrix.inv().T * gradient
        return diagonal_in_weights(weights, [sp.factor(slope) ** 2 for slope in along_weights])

    def blocks(self, model: MatrixModel) -> BlockMetric:
        """Every side that a group moves, weighted by the Gram matrix of what is moved the opposite way."""
        return covariant_blocks(model, self.name, own_first=False)
