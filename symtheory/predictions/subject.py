"""What predictions are derived from: a declared graph, its group, and the calculi in which it has a form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import sympy as sp

from symtheory.geometry.matrix.model import MatrixModel, matrix_model
from symtheory.graph.computation_graph import ComputationGraph
from symtheory.graph.elementwise import ElementwiseModel
from symtheory.predictions.readout import Readout, find_readout
from symtheory.symmetry.coordinatewise_group import CoordinatewiseGroup
from symtheory.symmetry.find import find_symmetries
from symtheory.symmetry.group import SymmetryGroup


@dataclass(frozen=True)
class Subject:
    """A declaration with its symmetry group; forms that not every graph has are derived at first use."""

    graph: ComputationGraph
    group: SymmetryGroup

    @property
    def name(self) -> str:
        """The declaration's name."""
        return self.graph.name

    @cached_property
    def coordinate(self) -> ElementwiseModel:
        """One coordinate with its generators; ``CalculusError`` unless the graph acts coordinate by coordinate."""
        matrices = [
            matrix for factor in self.group if isinstance(factor, CoordinatewiseGroup) for matrix in factor.matrices
        ]
        return replace(self.graph.elementwise, generators=tuple(matrices))

    @cached_property
    def matrices(self) -> MatrixModel:
        """The parameters as matrices with the group in their terms; ``CalculusError`` where it needs more axes."""
        return matrix_model(self.graph.parameters, tuple(self.group))

    @cached_property
    def readout(self) -> Readout | None:
        """The fixed linear map after the coordinates, where the graph is one; None where w are coordinates itself."""
        return find_readout(self.graph)

    @cached_property
    def coordinates(self) -> Subject:
        """What coordinatewise statements are derived from: the graph below its linear readout, else itself."""
        if self.readout is None:
            return self
        return Subject(self.readout.inner, find_symmetries(self.readout.inner))

    @property
    def charges(self) -> Mapping[str, Any]:
        """Charges of the group by name: scalars per coordinate, or matrix expressions."""
        return self.group.charges

    def quadratic_charges(self) -> list[sp.Expr]:
        """Charges of one coordinate as quadratic forms: the square of a linear one is conserved as well."""
        coordinates = self.coordinate.coordinates
        degrees = [(charge, sp.Poly(charge, *coordinates).total_degree()) for charge in self.charges.values()]
        return [charge if degree == 2 else sp.expand(charge**2) for charge, degree in degrees]
