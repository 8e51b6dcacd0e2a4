"""Metrics on parameter space; a new one is a file here and a line in METRICS."""

from __future__ import annotations

from symtheory.errors import MetricError
from symtheory.geometry.metrics.euclidean import Euclidean
from symtheory.geometry.metrics.invariant import Invariant
from symtheory.geometry.metrics.metric import Metric
from symtheory.geometry.metrics.metric_family import MetricFamily
from symtheory.geometry.metrics.mixed import Mixed
from symtheory.geometry.metrics.pullback import Pullback

METRICS: dict[str, type[MetricFamily]] = {family.name: family for family in (Euclidean, Invariant, Mixed, Pullback)}


def find_metric(metric: str | MetricFamily) -> MetricFamily:
    """The metric of that name, or the metric given.

    Raises MetricError for an unknown name.
    """
    if isinstance(metric, MetricFamily):
        return metric
    if metric not in METRICS:
        raise MetricError(f"no metric is called {metric!r}: choose one of {', '.join(METRICS)}, or pass a Metric")
    return METRICS[metric]()


__all__ = ["METRICS", "Euclidean", "Invariant", "Metric", "MetricFamily", "Mixed", "Pullback", "find_metric"]
