"""A weighted sum of metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import sympy as sp

from symtheory.errors import MetricError
from symtheory.geometry.matrix.sums import sum_of_blocks
from symtheory.geometry.metrics.metric_family import MetricFamily

if TYPE_CHECKING:
    from symtheory.geometry.matrix.block_metric import BlockMetric
    from symtheory.geometry.matrix.model import MatrixModel
    from symtheory.graph.elementwise import ElementwiseModel


class WeightedSum(MetricFamily):
    """Σ weight · metric with positive weights, such as ``WeightedSum([(1, "invariant"), (0.1, "mixed")])``.

    Args:
        parts: pairs of a positive number and a metric, given by name or as a metric.
        name: what reports call the metric.

    Raises:
        MetricError: no parts, a weight that is not positive, or an unknown metric.
    """

    def __init__(self, parts: Sequence[tuple[Any, str | MetricFamily]], name: str = "weighted_sum") -> None:
        # The registry imports this file.
        from symtheory.geometry.metrics import find_metric

        if not parts:
            raise MetricError("a weighted sum needs at least one metric: give pairs of a weight and a metric")
        self.parts = tuple((sp.nsimplify(weight), find_metric(metric)) for weight, metric in parts)
        self.name = name
        wrong = next((weight for weight, _ in self.parts if not weight.is_positive), None)
        if wrong is not None:
            raise MetricError(f"the weight {wrong} is not positive: a sum of metrics needs positive weights")

    def on(self, model: ElementwiseModel) -> sp.ImmutableMatrix:
        """The weighted sum of the k×k matrices."""
        matrices = [weight * family.on(model) for weight, family in self.parts]
        return sp.ImmutableMatrix(sum(matrices[1:], matrices[0]).applyfunc(sp.factor))

    def blocks(self, model: MatrixModel) -> BlockMetric:
        """The products of all parts on either side of every parameter's tangent."""
        return sum_of_blocks(self.name, model, [(weight, family.blocks(model)) for weight, family in self.parts])
