"""What the laws of geometry examine: the functions of a generated module at a point that was checked at the border."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import numpy as np

from symtheory.codegen.generated_module import GeneratedModule
from symtheory.errors import DeclarationError, DomainError, ShapeError
from symtheory.generation import generate
from symtheory.geometry import MetricFamily
from symtheory.graph.computation_graph import ComputationGraph
from symtheory.parametrization import Parametrization
from symtheory.symmetry.coordinatewise_group import CoordinatewiseGroup
from symtheory.symmetry.group import SymmetryGroup
from symtheory.testing.arrays import generic_arrays, require_sizes, standard_data
from symtheory.testing.deviation import largest
from symtheory.testing.predictor import Arrays
from symtheory.testing.torch_function import TorchGeometry

Geometry: TypeAlias = ModuleType | GeneratedModule | Parametrization
Metric: TypeAlias = str | MetricFamily


@dataclass(frozen=True)
class GeometrySubject:
    """A generated module, and the group it was made for where a declaration was given.

    name: in messages, with the metric where that is known; omitted: why functions are missing, where that is known.
    """

    name: str
    torch: TorchGeometry
    group: SymmetryGroup | None
    omitted: Mapping[str, str]

    def require(self, *functions: str) -> None:
        """``DeclarationError``, with the reason if there is one, for a function that the module does not have."""
        for function in functions:
            if not hasattr(self.torch.module, function):
                reason = f": {self.omitted[function]}" if function in self.omitted else ""
                raise DeclarationError(f"{self.name} has no {function}{reason}")

    def arrays(self, values: Mapping[str, Any], what: str) -> dict[str, np.ndarray]:
        """A point, a tangent or a covector: floating arrays for all parameters, in their order."""
        found = {}
        for name, shape in self.torch.module.PARAMETERS.items():
            if name not in values:
                raise DeclarationError(f"the {what} has no '{name}': give an array for it")
            array = np.asarray(values[name])
            found[name] = array if np.issubdtype(array.dtype, np.floating) else array.astype(np.float64)
            wrong = [size for size, n in zip(shape, array.shape, strict=False) if isinstance(size, int) and size != n]
            if array.ndim != len(shape) or wrong:
                raise ShapeError(f"'{name}' in the {what} has shape {array.shape}: it must have {tuple(shape)}")
        return found

    def elements(self, values: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Elements of the group, or of its Lie algebra, under the keys that the module takes.

        A coordinatewise factor with several generators has one key for each in a module, and one array in a group.
        """
        arrays = {name: np.asarray(value, dtype=np.float64) for name, value in values.items()}
        found: dict[str, np.ndarray] = {}
        for factor in self.group or ():
            if isinstance(factor, CoordinatewiseGroup) and factor.name in arrays:
                generators = arrays.pop(factor.name)
                names = [f"{factor.name}_{place + 1}" for place in range(len(generators))]
                names = [factor.name] if len(generators) == 1 else names
                found |= dict(zip(names, generators, strict=True))
        return {**found, **arrays}

    def one_by_one(self, g: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
        """The factors named in ``g`` with an element in which the others are the identity; all of ``g`` at once where
        no group is known."""
        if self.group is None:
            yield f"{', '.join(g)}", self.elements(g)
            return
        identity = {factor.name: factor.identity() for factor in self.group}
        for name in g:
            yield name, self.elements({**identity, self.group[name].name: g[name]})

    def size(self, point: Arrays, xi: Arrays) -> float:
        """√|⟨ξ, ξ⟩|, also where the metric is wrong."""
        return float(np.sqrt(np.abs(self.torch.inner(point, xi, xi))))

    def finite(self, values: Any, what: str) -> Any:
        """The values; ``DomainError`` where they are not finite."""
        parts = values.values() if isinstance(values, Mapping) else [values]
        if not all(np.isfinite(part).all() for part in parts):
            raise DomainError(f"{what} of {self.name} is not finite there: choose another point")
        return values


_GENERATED: WeakKeyDictionary[ComputationGraph, dict[Any, GeneratedModule]] = WeakKeyDictionary()


def geometry_subject(geometry: Geometry, metric: Metric) -> GeometrySubject:
    """The functions of a module, loaded or not, or those generated for a bound parametrization in a metric.

    A parametrization is generated once for each metric. Raises ``DeclarationError`` for unbound sizes and for anything
    else, and what ``generate`` raises.
    """
    if isinstance(geometry, Parametrization):
        require_sizes(geometry)
        made = generated(geometry, metric)
        label = metric if isinstance(metric, str) else metric.name
        name = f"the {label} geometry of '{geometry.name}'"
        return GeometrySubject(name, TorchGeometry(made.load()), geometry.symmetries(), made.omitted)
    if isinstance(geometry, GeneratedModule):
        return GeometrySubject(f"'{geometry.name}'", TorchGeometry(geometry.load()), None, geometry.omitted)
    if not hasattr(geometry, "PARAMETERS"):
        raise DeclarationError(
            f"a law of geometry takes a generated module or a Parametrization, not {type(geometry).__name__}"
        )
    return GeometrySubject(f"'{geometry.NAME}'", TorchGeometry(geometry), None, {})


def generated(P: Parametrization, metric: Metric) -> GeneratedModule:
    """The module of a parametrization in a metric; generated once and kept as long as the parametrization."""
    known = _GENERATED.setdefault(P, {})
    if metric not in known:
        known[metric] = generate(P, metric)
    return known[metric]


def data_for(geometry: Geometry, subject: GeometrySubject, data: Mapping[str, Any] | None) -> dict[str, np.ndarray]:
    """Inputs and constants of the predictor: those given, or standard ones where sizes are known."""
    if data is not None:
        return {name: np.asarray(value) for name, value in data.items()}
    if isinstance(geometry, Parametrization):
        return standard_data(geometry)
    shapes = {**subject.torch.module.INPUTS, **subject.torch.module.CONSTANTS}
    if any(isinstance(size, str) for shape in shapes.values() for size in shape):
        raise DeclarationError(f"{subject.name} has inputs of free size: pass data=")
    return generic_arrays(shapes, seed=0)


def added(*terms: tuple[float, Arrays]) -> dict[str, np.ndarray]:
    """Σ factor · arrays, parameter by parameter."""
    (first, start), *others = terms
    total = {name: first * value for name, value in start.items()}
    for factor, arrays in others:
        total = {name: value + factor * arrays[name] for name, value in total.items()}
    return total


def paired(covector: Arrays, xi: Arrays) -> float:
    """A covector's value on a tangent."""
    return float(sum((covector[name] * xi[name]).sum() for name in covector))


def worst(off: Mapping[str, float]) -> str:
    """The name with the largest number."""
    return max(off, key=lambda name: (not off[name] <= largest(off.values()), off[name]))
