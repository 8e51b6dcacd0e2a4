"""The invariant metric of a torus action."""

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


class Invariant(MetricFamily):
    """Σ (dp_i / p_i)² in the weight coordinates p of the generators; defined where no p_i is zero.

    Source: da Silva, Dangel, Oore 2025, arXiv 2505.05409.
    """

    name = "invariant"

    def on(self, model: ElementwiseModel) -> sp.ImmutableMatrix:
        """k×k matrix, rational in the coordinates.

        Raises MetricError when the generators have no joint rational eigenbasis.
        """
        weights = metric_weights(model, self.name)
        return diagonal_in_weights(weights, [p**-2 for p in weights.of(model.coordinates)])

    def blocks(self, model: MatrixModel) -> BlockMetric:
        """Every side that a group moves, weighted by the inverse of the parameter's own Gram matrix along it."""
        return covariant_blocks(model, self.name, own_first=True)
