"""The pullback of the predictor's metric."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sympy as sp

from symtheory.geometry.metrics.metric_family import MetricFamily

if TYPE_CHECKING:
    from symtheory.graph.elementwise import ElementwiseModel


class Pullback(MetricFamily):
    """dφ ⊗ dφ: invariant always, but of rank one, so singular for more than one parameter per coordinate."""

    name = "pullback"

    def on(self, model: ElementwiseModel) -> sp.ImmutableMatrix:
        """The k×k matrix (∂φ/∂θ_i)(∂φ/∂θ_j)."""
        gradient = model.gradient()
        return sp.ImmutableMatrix(gradient * gradient.T)
