"""Metrics on parameter space; a new one is a file here and a line in METRICS."""

from __future__ import annotations

from symtheory.errors import MetricError
from symtheory.geometry.metrics.euclidean import Euclidean
from symtheory.geometry.metrics.gauss_newton import Fisher, GaussNewton
from symtheory.geometry.metrics.invariant import Invariant
from symtheory.geometry.metrics.metric import Metric
from symtheory.geometry.metrics.metric_family import MetricFamily
from symtheory.geometry.metrics.mixed import Mixed
from symtheory.geometry.metrics.pullback import Pullback
from symtheory.geometry.metrics.relaxed import Relaxed
from symtheory.geometry.metrics.trace_metric import TraceMetric
from symtheory.geometry.metrics.weighted_sum import WeightedSum

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


__all__ = [
    "METRICS",
    "Euclidean",
    "Fisher",
    "GaussNewton",
    "Invariant",
    "Metric",
    "MetricFamily",
    "Mixed",
    "Pullback",
    "Relaxed",
    "TraceMetric",
    "WeightedSum",
    "find_metric",
]
