"""Metrics, connections, horizontal spaces, geodesics and curvature."""

from __future__ import annotations

from typing import TYPE_CHECKING

from symtheory.geometry.christoffel_symbols import ChristoffelSymbols
from symtheory.geometry.curvature import Curvature
from symtheory.geometry.elementwise_geometry import ElementwiseGeometry
from symtheory.geometry.geodesic import Geodesic
from symtheory.geometry.metrics import METRICS, Metric, MetricFamily
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
    "Geodesic",
    "Metric",
    "MetricFamily",
    "WeightCoordinates",
    "geometry",
    "weight_coordinates",
]
