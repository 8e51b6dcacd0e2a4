"""What every metric can do: give itself on one coordinate, or on matrices."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import sympy as sp

from symtheory.errors import MetricError

if TYPE_CHECKING:
    from symtheory.geometry.matrix.block_metric import BlockMetric
    from symtheory.geometry.matrix.model import MatrixModel
    from symtheory.graph.elementwise import ElementwiseModel


class MetricFamily(ABC):
    """A rule that gives one metric per model; `name` is how users ask for it."""

    name: str

    @abstractmethod
    def on(self, model: ElementwiseModel) -> sp.ImmutableMatrix:
        """k×k matrix of the metric in the model's coordinates, one block for each entry of the parameters.

        Raises MetricError where the model has no such metric.
        """

    def blocks(self, model: MatrixModel) -> BlockMetric:
        """The metric on matrices, as one product on either side of every parameter's tangent.

        Raises MetricError where the model has no such metric, CalculusError where its point gives no weights for it.
        """
        raise MetricError(f"the {self.name} metric is not a trace form: choose euclidean, invariant or mixed")
