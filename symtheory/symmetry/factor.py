"""One factor of a symmetry group: what it is, where it lives, how it acts, what it conserves."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sympy as sp

from symtheory.graph.shapes import Shape


@dataclass(frozen=True)
class Factor(ABC):
    """A connected group that acts linearly on some of the parameters and leaves the predictor as it is.

    name: key of its elements, charges and generators; shapes: the parameters it moves, in the graph's order.
    """

    name: str
    shapes: Mapping[str, Shape]

    @property
    @abstractmethod
    def kind(self) -> str:
        """The group in one word, one of GL, O, rescaling, scaling, isometry, linear."""

    @property
    @abstractmethod
    def lives_on(self) -> str:
        """The place in the graph, an inner edge or the parameters whose coordinates it rescales."""

    @property
    @abstractmethod
    def dimension(self) -> sp.Expr:
        """Dimension of the group, in the symbolic sizes."""

    @property
    @abstractmethod
    def element(self) -> Any:
        """A symbol for a group element, as ``act`` takes it."""

    @property
    @abstractmethod
    def generators(self) -> tuple[dict[str, Any], ...]:
        """Vector fields, parameter → its infinitesimal change, zero entries left out."""

    @abstractmethod
    def act(self, g: Any, point: Mapping[str, Any]) -> dict[str, Any]:
        """The finite action: ``point`` (parameter → SymPy expression) moved by ``g``; other entries stay."""

    @property
    @abstractmethod
    def charges(self) -> dict[str, Any]:
        """Conserved quantities of gradient flow (moment map), by name; empty when there is none."""

    @property
    def scalings(self) -> tuple[dict[str, sp.Rational], ...]:
        """The rescalings of whole parameters by one number that the group contains, as parameter → exponent."""
        return ()

    def symbol(self, parameter: str) -> Any:
        """The parameter as it enters ``generators`` and ``charges``."""
        shape = self.shapes[parameter]
        if len(shape) == 2:
            return sp.MatrixSymbol(parameter, *shape)
        if len(shape) == 1:
            return sp.MatrixSymbol(parameter, shape[0], 1)
        return sp.Symbol(parameter, real=True)
