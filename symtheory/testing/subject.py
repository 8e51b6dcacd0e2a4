"""What a law examines: a group and a predictor, at a point that was checked at the border."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from symtheory.errors import DeclarationError, DomainError, ShapeError
from symtheory.graph.shapes import Shape, show
from symtheory.parametrization import Parametrization
from symtheory.symmetry.factor import Factor
from symtheory.symmetry.group import SymmetryGroup
from symtheory.testing.arrays import generic_arrays, require_sizes, standard_data
from symtheory.testing.declared_function import bound_shape, declared_function
from symtheory.testing.predictor import Arrays, Predictor
from symtheory.testing.torch_function import TorchFunction

Symmetry: TypeAlias = Parametrization | SymmetryGroup
Function: TypeAlias = Parametrization | Callable[..., Any] | None


@dataclass(frozen=True)
class Subject:
    """A predictor with its data, and the group that is claimed to leave it as it is.

    name: of the predictor in messages; point: parameter → floating array; data: input or constant → array.
    """

    name: str
    group: SymmetryGroup
    predictor: Predictor
    point: dict[str, np.ndarray]
    data: dict[str, np.ndarray]

    def value(self, point: Arrays) -> np.ndarray:
        """The predictor at a point; ``DomainError`` where it is not finite."""
        value = self.predictor.value(point, self.data)
        if not np.isfinite(value).all():
            raise DomainError(f"the predictor of '{self.name}' is not finite there: choose another point or other data")
        return value

    def gradient(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Of Σ weights ⊙ φ at the point, in float64, zero for what the predictor does not depend on.

        Raises ``DomainError`` where it is not finite.
        """
        gradient = self.predictor.gradient(self.point, self.data, weights)
        if not all(np.isfinite(part).all() for part in gradient.values()):
            raise DomainError(f"the gradient of '{self.name}' is not finite there: choose another point or other data")
        zeros = {name: np.zeros(array.shape) for name, array in self.point.items()}
        return {**zeros, **{name: np.asarray(part, dtype=np.float64) for name, part in gradient.items()}}


def subject_of(
    symmetry: Symmetry, point: Mapping[str, Any], data: Mapping[str, Any] | None, function: Function
) -> Subject:
    """The group of a parametrization, or a group, with the predictor of ``function``, or the declared one.

    data: None for standard ones where a graph says what there is; those of a torch function are not checked, so that it
    may take batches, or integers. Raises ``DeclarationError`` for unbound sizes, for a group without a function, for a
    function that is none and for a name that is missing; ``ShapeError`` for an array of another shape.
    """
    group = group_of(symmetry)
    shapes = {name: shape for factor in group for name, shape in factor.shapes.items()}
    declared = function if isinstance(function, Parametrization) else symmetry
    if isinstance(declared, Parametrization):
        require_sizes(declared)
        shapes |= declared.parameters
        data = standard_data(declared) if data is None else data
    if function is None or function is declared:
        if not isinstance(declared, Parametrization):
            raise DeclarationError("a group alone has no predictor: pass function=, a torch one or a Parametrization")
        leaves = {**declared.inputs, **declared.constants}
        predictor, taken = declared_function(declared), _checked(data or {}, leaves, "data")
        return Subject(declared.name, group, predictor, _checked(point, shapes, "point"), taken)
    if not callable(function):
        raise DeclarationError(f"function= takes a torch function or a Parametrization, not {type(function).__name__}")
    taken = {name: np.asarray(value) for name, value in (data or {}).items()}
    name = getattr(function, "__name__", type(function).__name__)
    return Subject(name, group, TorchFunction(function), _checked(point, shapes, "point"), taken)


def group_of(symmetry: Symmetry) -> SymmetryGroup:
    """The group itself, or that of a bound parametrization; ``DeclarationError`` for unbound sizes."""
    if isinstance(symmetry, SymmetryGroup):
        return symmetry
    if not isinstance(symmetry, Parametrization):
        raise DeclarationError(f"a law takes a Parametrization or a SymmetryGroup, not {type(symmetry).__name__}")
    require_sizes(symmetry)
    return symmetry.symmetries()


def place_of(symmetry: Symmetry, point: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Floating arrays for all parameters that the group moves, for laws that need no predictor.

    Constants, on which a shift may depend, are standard ones unless the point holds them.
    """
    group = group_of(symmetry)
    arrays = _checked(point, {name: shape for factor in group for name, shape in factor.shapes.items()}, "point")
    constants = symmetry.constants if isinstance(symmetry, Parametrization) else {}
    return {**generic_arrays(constants, seed=0), **arrays}


def moved(factor: Factor, g: np.ndarray, point: Arrays, data: Arrays | None = None) -> dict[str, np.ndarray]:
    """``factor.act`` on a point, with the dtypes of the point kept; data: constants on which a shift may depend."""
    after = factor.act(np.asarray(g, dtype=np.float64), {**(data or {}), **point})
    return {name: np.asarray(after[name], dtype=value.dtype) for name, value in point.items()}


def elements_of(group: SymmetryGroup, g: Mapping[str, Any]) -> list[tuple[Factor, np.ndarray]]:
    """The factors named in ``g`` with their elements, in the group's order; refuses unknown names and other shapes."""
    for name in g:
        expected = bound_shape(group[name].element_shape)
        if np.shape(g[name]) != expected:
            raise ShapeError(f"the element of '{name}' has shape {np.shape(g[name])}: it must have {expected}")
    return [(factor, np.asarray(g[factor.name], dtype=np.float64)) for factor in group if factor.name in g]


def _checked(values: Mapping[str, Any], shapes: Mapping[str, Shape], what: str) -> dict[str, np.ndarray]:
    """All values as floating arrays (float64 unless they are floating already), those that ``shapes`` names first."""
    missing = [name for name in shapes if name not in values]
    if missing:
        raise DeclarationError(f"the {what} has no '{missing[0]}' {show(shapes[missing[0]])}: give an array for it")
    arrays = {name: _floating(values[name]) for name in (*shapes, *(key for key in values if key not in shapes))}
    for name, shape in shapes.items():
        if arrays[name].shape != bound_shape(shape):
            raise ShapeError(f"'{name}' in the {what} has shape {arrays[name].shape}: it must have {show(shape)}")
    return arrays


def _floating(value: Any) -> np.ndarray:
    array = np.asarray(value)
    return array if np.issubdtype(array.dtype, np.floating) else array.astype(np.float64)
