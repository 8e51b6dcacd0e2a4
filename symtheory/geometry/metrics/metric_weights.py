"""Weight coordinates for a metric: what is missing becomes an error about the metric, with a remedy."""

from __future__ import annotations

from symtheory.errors import DerivationError, MetricError
from symtheory.graph.elementwise import ElementwiseModel
from symtheory.symmetry.weight_coordinates import WeightCoordinates, weight_coordinates


def metric_weights(model: ElementwiseModel, metric: str) -> WeightCoordinates:
    """Joint eigenbasis of the generators. Raises MetricError, saying what to use instead, when there is none."""
    try:
        return weight_coordinates(model)
    except DerivationError as error:
        rotations = all(-generator == generator.T for generator in model.generators)
        remedy = (
            "the euclidean metric is invariant already: use 'euclidean'"
            if rotations
            else "use 'euclidean' or a Metric of your own"
        )
        raise MetricError(f"there is no {metric} metric, since {error}; {remedy}") from error
