"""What all functions of one geometry of matrices are written for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import sympy as sp

from symtheory.geometry import MatrixGeometry
from symtheory.geometry.matrix.model import WHOLE, MatrixModel
from symtheory.graph.shapes import Shape
from symtheory.parametrization import Parametrization


@dataclass(frozen=True)
class MatrixSetting:
    """A declaration with its geometry in one metric."""

    parametrization: Parametrization
    geometry: MatrixGeometry

    @property
    def parameters(self) -> Mapping[str, Shape]:
        return self.parametrization.parameters

    @property
    def model(self) -> MatrixModel:
        return self.geometry.model

    @property
    def metric(self) -> str:
        """The metric's name."""
        return str(self.geometry.name)

    @property
    def is_straightened(self) -> bool:
        """Whether functions go to straightened coordinates and back."""
        return self.geometry.blocks.is_straightened and bool(self.model.straightening)

    @property
    def flat(self) -> str:
        """Name of the function that lowers tangents where iteration takes place: in straightened coordinates."""
        return "_flat" if self.is_straightened else "flat"

    @cached_property
    def narrow(self) -> frozenset[sp.Symbol]:
        """Symbolic sizes on which a group acts."""
        shapes = [self.model.views[m.parameter].shape[m.where] for m in self.model.meetings if m.where != WHOLE]
        return frozenset(symbol for size in shapes for symbol in size.free_symbols)
