"""Metrics, connections, horizontal spaces, geodesics and curvature."""

from __future__ import annotations

from typing import TYPE_CHECKING

from symtheory.geometry.christoffel_symbols import ChristoffelSymbols
from symtheory.geometry.curvature import Curvature
from symtheory.geometry.elementwise_geometry import ElementwiseGeometry
from symtheory.geometry.explicit_geometry import ExplicitGeometry
from symtheory.geometry.geodesic import Geodesic
from symtheory.geometry.matrix.matrix_geometry import MatrixGeometry
from symtheory.geometry.metrics import (
    METRICS,
    Fisher,
    GaussNewton,
    Metric,
    MetricFamily,
    Relaxed,
    TraceMetric,
    WeightedSum,
)
from symtheory.symmetry.weight_coordinates import WeightCoordinates, weight_coordinates

if TYPE_CHECKING:
    from symtheory.graph.elementwise import ElementwiseModel


def geometry(model: ElementwiseModel, metric: str | MetricFamily = "euclidean") -> ElementwiseGeometry:
    """The geometry of an elementwise model under a metric, given by name or as a metric.

    Raises MetricError for an unknown name, or a metric that the model does not have.
    """
    return ElementwiseGeometry(model, metric)


__all__ = [
    "METRICS",
    "ChristoffelSymbols",
    "Curvature",
    "ElementwiseGeometry",
    "ExplicitGeometry",
    "Fisher",
    "GaussNewton",
    "Geodesic",
    "MatrixGeometry",
    "Metric",
    "MetricFamily",
    "Relaxed",
    "TraceMetric",
    "WeightCoordinates",
    "WeightedSum",
    "geometry",
    "weight_coordinates",
]
