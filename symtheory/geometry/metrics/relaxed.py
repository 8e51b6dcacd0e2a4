"""A metric that stays regular where parameters lose rank."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sympy as sp

from symtheory.errors import MetricError
from symtheory.geometry.matrix.relaxation import relaxed_metric
from symtheory.geometry.metrics.metric_family import MetricFamily

if TYPE_CHECKING:
    from symtheory.geometry.matrix.block_metric import BlockMetric
    from symtheory.geometry.matrix.model import MatrixModel
    from symtheory.graph.elementwise import ElementwiseModel


class Relaxed(MetricFamily):
    """A metric with ε times its mean eigenvalue added to every weight: ``Relaxed("invariant", 1e-6)``.

    Where factors lose rank a Gram matrix that a metric inverts is singular; this one is defined there. It is invariant
    up to a relative change of ε·mean/λ_min, which generated modules report as ``relaxation_effect(point)``.

    Args:
        metric: the metric to relax, by name or as a metric.
        epsilon: positive number, dimensionless.

    Raises:
        MetricError: ε is not positive, or the metric is unknown.
    """

    def __init__(self, metric: str | MetricFamily, epsilon: Any = 1e-6) -> None:
        # The registry imports this file.
        from symtheory.geometry.metrics import find_metric

        self.family = find_metric(metric)
        self.epsilon = sp.nsimplify(epsilon, rational=True)
        self.name = f"relaxed_{self.family.name}"
        if not self.epsilon.is_positive:
            raise MetricError(f"the relaxation {epsilon} is not positive: choose a small number such as 1e-6")

    def on(self, model: ElementwiseModel) -> sp.ImmutableMatrix:
        """Raises MetricError: on single coordinates no Gram matrix loses rank."""
        raise MetricError("a relaxation is meant for Gram matrices, and the graph acts on coordinates: leave it out")

    def blocks(self, model: MatrixModel) -> BlockMetric:
        """The relaxed weights on either side of every parameter's tangent."""
        return relaxed_metric(self.family.blocks(model), self.name, self.epsilon)
