"""What every metric can do: give its matrix on an elementwise model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import sympy as sp

if TYPE_CHECKING:
    from symtheory.graph.elementwise import ElementwiseModel


class MetricFamily(ABC):
    """A rule that gives one metric per elementwise model; `name` is how users ask for it."""

    name: str

    @abstractmethod
    def on(self, model: ElementwiseModel) -> sp.ImmutableMatrix:
        """k×k matrix of the metric in the model's coordinates, one block for each entry of the parameters.

        Raises MetricError where the model has no such metric.
        """
