"""One factor of a symmetry group: what it is, where it lives, how it acts, what it conserves."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sympy as sp

from symtheory.errors import ShapeError
from symtheory.graph.shapes import Shape, same_shape, show
from symtheory.lazy_module import LazyModule
from symtheory.symmetry.site import Pattern

if TYPE_CHECKING:
    import numpy as np
else:
    np = LazyModule("numpy")


@dataclass(frozen=True)
class Factor(ABC):
    """A connected group of affine changes of some of the parameters that leaves the predictor as it is.

    name: key of its elements, charges and generators; shapes: the parameters it moves, in the graph's order.

    ``act``, ``inverse`` and ``compose`` take SymPy values at symbolic size and float64 arrays at bound sizes; the
    methods that draw or measure are for arrays alone.
    """

    name: str
    shapes: Mapping[str, Shape]

    @property
    @abstractmethod
    def kind(self) -> str:
        """The group in one word: GL, O, O_fixing_ones, rescaling, scaling, translation, isometry or linear."""

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
    def element_shape(self) -> Shape:
        """Shape of the array that holds a group element."""

    @property
    @abstractmethod
    def generators(self) -> tuple[dict[str, Any], ...]:
        """Vector fields, parameter → its infinitesimal change, zero entries left out."""

    @property
    def hollow_dimension(self) -> sp.Expr:
        """Dimension of what the group holds beyond ``weighted_patterns``."""
        return sp.Integer(0)

    @property
    def weighted_patterns(self) -> tuple[tuple[sp.Expr, Pattern], ...]:
        """The rescalings, or shifts, in the group, by the part that varies over exactly the places named; and the
        dimension of each part, Π (n_p − 1) over these places."""
        return ()

    @abstractmethod
    def act(self, g: Any, point: Mapping[str, Any]) -> dict[str, Any]:
        """The finite action: ``point`` (parameter → SymPy expression or array) moved by ``g``; other entries stay."""

    @abstractmethod
    def identity(self) -> np.ndarray:
        """The element that moves nothing, as an array; needs bound sizes."""

    @abstractmethod
    def inverse(self, g: Any) -> Any:
        """The element that undoes ``g``."""

    @abstractmethod
    def compose(self, g: Any, h: Any) -> Any:
        """The element that acts as ``h`` first and ``g`` second."""

    @abstractmethod
    def sample(self, rng: np.random.Generator, condition: float = 10.0) -> np.ndarray:
        """A random element away from the identity; matrices have a condition number up to ``condition``."""

    @abstractmethod
    def algebra_sample(self, rng: np.random.Generator) -> np.ndarray:
        """A random element of the Lie algebra, entries of order one, as an array of the shape of an element."""

    @abstractmethod
    def exponential(self, a: np.ndarray) -> np.ndarray:
        """exp of an element of the Lie algebra."""

    @abstractmethod
    def field(self, a: np.ndarray, point: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The vector field of an element of the Lie algebra at a point: parameter → infinitesimal change."""

    @property
    @abstractmethod
    def charges(self) -> dict[str, Any]:
        """Conserved quantities of gradient flow (moment map), by name; empty when there is none."""

    @property
    def has_charge(self) -> bool:
        """Whether gradient flow conserves something for this factor."""
        return bool(self.charges)

    def charge_values(self, point: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The charges at a point of arrays, one array for each name."""
        return {}

    def balanced(self, point: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The canonical representative of the point's orbit under this factor alone."""
        return dict(point)

    def symbol(self, parameter: str) -> Any:
        """The parameter as it enters ``generators`` and ``charges``."""
        shape = self.shapes[parameter]
        if len(shape) == 2:
            return sp.MatrixSymbol(parameter, *shape)
        if len(shape) == 1:
            return sp.MatrixSymbol(parameter, shape[0], 1)
        return sp.Symbol(parameter, real=True)


def are_arrays(point: Mapping[str, Any]) -> bool:
    """Whether a point is given in numbers rather than in SymPy expressions."""
    return any(isinstance(value, np.ndarray | np.generic | float) for value in point.values())


def as_arrays(point: Mapping[str, Any], shapes: Mapping[str, Shape]) -> dict[str, np.ndarray]:
    """The point in float64 arrays; ``ShapeError`` where one has another shape than declared."""
    arrays = {name: np.asarray(value, dtype=np.float64) for name, value in point.items()}
    for name, shape in shapes.items():
        if name not in arrays:
            raise ShapeError(f"the point lacks the parameter '{name}' {show(shape)}")
        if not same_shape(tuple(map(sp.Integer, arrays[name].shape)), shape):
            raise ShapeError(f"'{name}' has the shape {arrays[name].shape} and is declared as {show(shape)}")
    return arrays
