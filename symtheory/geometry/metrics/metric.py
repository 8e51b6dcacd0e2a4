"""A metric of the user's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import sympy as sp

from symtheory.errors import MetricError
from symtheory.geometry.metric_entries import metric_entries
from symtheory.geometry.metrics.metric_family import MetricFamily

if TYPE_CHECKING:
    from symtheory.graph.elementwise import ElementwiseModel


class Metric(MetricFamily):
    """A metric given by its symmetric k×k matrix in named coordinates.

    Args:
        matrix: symmetric k×k matrix of expressions in the coordinates.
        coordinates: the k symbols, named as the parameters they stand for.
        name: what reports call the metric.

    Raises:
        MetricError: the matrix does not fit the coordinates or is not symmetric.
    """

    def __init__(self, matrix: sp.MatrixBase, coordinates: Sequence[sp.Symbol], name: str = "custom") -> None:
        self.matrix = sp.ImmutableMatrix(matrix)
        self.coordinates: tuple[sp.Symbol, ...] = tuple(coordinates)
        self.name = name
        metric_entries(self.matrix, self.coordinates)

    @classmethod
    def from_quadratic_form(
        cls,
        form: sp.Expr,
        coordinates: Sequence[sp.Symbol],
        velocities: Sequence[sp.Symbol],
        name: str = "custom",
    ) -> Metric:
        """The metric g with form = Σ g_ij ξ_i ξ_j, for velocities ξ in the order of the coordinates.

        Raises MetricError when the expression is not a quadratic form in the velocities.
        """
        matrix = sp.hessian(form, list(velocities)) / 2
        rebuilt = (sp.Matrix([velocities]) * matrix * sp.Matrix(velocities))[0]
        if matrix.free_symbols & set(velocities) or sp.expand(form - rebuilt) != 0:
            raise MetricError(
                f"{form} is not a quadratic form in {', '.join(map(str, velocities))}: write Σ g_ij ξ_i ξ_j"
            )
        return cls(matrix, coordinates, name)

    def on(self, model: ElementwiseModel) -> sp.ImmutableMatrix:
        """The matrix with its coordinates replaced, by name, by the model's.

        Raises MetricError when the names of the coordinates are not those of the model's parameters, in order.
        """
        own, wanted = ([str(symbol) for symbol in symbols] for symbols in (self.coordinates, model.coordinates))
        if own != wanted:
            raise MetricError(
                f"the metric {self.name!r} is in {own} but the parameters are {wanted}: rename or reorder"
            )
        return self.matrix.xreplace(dict(zip(self.coordinates, model.coordinates, strict=True)))
