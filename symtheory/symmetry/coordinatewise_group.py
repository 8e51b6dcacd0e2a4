"""Groups that act on each coordinate by itself: rescalings of factors, isometries of a quadratic form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING, Any

import sympy as sp

from symtheory.errors import CalculusError
from symtheory.graph.shapes import Shape, element_count
from symtheory.graph.symbol_names import free_name
from symtheory.lazy_module import LazyModule
from symtheory.symmetry.balance import balancing_factor
from symtheory.symmetry.factor import Factor, are_arrays

if TYPE_CHECKING:
    import numpy as np
    from scipy import linalg
else:
    np = LazyModule("numpy")
    linalg = LazyModule("scipy.linalg")


@dataclass(frozen=True)
class CoordinatewiseGroup(Factor):
    """Products of exp(t_a A_a) acting on the parameters (θ_1, …, θ_k) of every coordinate.

    matrices: the rational k×k generators A_a; quadratic: whether they preserve a quadratic form.
    """

    matrices: tuple[sp.ImmutableMatrix, ...]
    quadratic: bool = False

    @property
    def kind(self) -> str:
        if all(matrix.is_diagonal() for matrix in self.matrices):
            return "rescaling"
        return "isometry" if self.quadratic else "linear"

    @property
    def lives_on(self) -> str:
        return f"coordinates of ({', '.join(self.shapes)})"

    @property
    def dimension(self) -> sp.Expr:
        return len(self.matrices) * element_count(next(iter(self.shapes.values())))

    @cached_property
    def coordinates(self) -> tuple[sp.Symbol, ...]:
        return tuple(sp.Symbol(name, real=True) for name in self.shapes)

    @property
    def hollow_dimension(self) -> sp.Expr:
        return self.dimension

    @property
    def element_shape(self) -> Shape:
        return (sp.Integer(len(self.matrices)), *next(iter(self.shapes.values())))

    def symbol(self, parameter: str) -> sp.Symbol:
        return sp.Symbol(parameter, real=True)

    @cached_property
    def element(self) -> tuple[sp.Symbol, ...]:
        """Coordinates t_a of a group element exp(t_1 A_1) exp(t_2 A_2) …; 0 is the identity."""
        names = ["t"] if len(self.matrices) == 1 else [f"t{index + 1}" for index in range(len(self.matrices))]
        return tuple(sp.Symbol(free_name(name, self.shapes), real=True) for name in names)

    @property
    def generators(self) -> tuple[dict[str, sp.Expr], ...]:
        fields = [matrix * sp.Matrix(self.coordinates) for matrix in self.matrices]
        return tuple(
            {name: entry for name, entry in zip(self.shapes, field, strict=True) if entry != 0} for field in fields
        )

    def act(self, g: Any, point: Mapping[str, Any]) -> dict[str, Any]:
        """θ ↦ exp(g_1 A_1) exp(g_2 A_2) … θ; g: an expression per generator (bare for one), or an array (count, *d)."""
        if are_arrays(point):
            stacked = np.stack([point[name] for name in self.shapes], axis=-1)[..., None]
            for t, matrix in reversed(list(zip(g, self._arrays, strict=True))):
                stacked = linalg.expm(t[..., None, None] * matrix) @ stacked
            return {**point, **{name: stacked[..., place, 0] for place, name in enumerate(self.shapes)}}
        values = tuple(g) if isinstance(g, tuple | list) else (g,)
        moved = sp.Matrix([point[name] for name in self.shapes])
        for t, matrix in reversed(list(zip(values, self.matrices, strict=True))):
            moved = _exponential(t, matrix) * moved
        return {**point, **dict(zip(self.shapes, moved, strict=True))}

    def identity(self) -> np.ndarray:
        return np.zeros(self._array_shape)

    def inverse(self, g: Any) -> Any:
        self.require_commuting()
        return tuple(-value for value in g) if isinstance(g, tuple) else -g

    def compose(self, g: Any, h: Any) -> Any:
        self.require_commuting()
        return tuple(a + b for a, b in zip(g, h, strict=True)) if isinstance(g, tuple) else g + h

    def require_commuting(self) -> None:
        """Raises ``CalculusError`` unless all generators commute, so that coordinates of elements add up."""
        if any(a * b != b * a for a, b in combinations(self.matrices, 2)):
            raise CalculusError(f"generators of '{self.name}' do not commute: coordinates do not add")

    def sample(self, rng: np.random.Generator, condition: float = 10.0) -> np.ndarray:
        """Coordinates uniform between −½ log κ and ½ log κ, κ = condition."""
        spread = np.log(condition) / 2
        return np.asarray(rng.uniform(-spread, spread, size=self._array_shape))

    def algebra_sample(self, rng: np.random.Generator) -> np.ndarray:
        return np.asarray(rng.standard_normal(self._array_shape))

    def exponential(self, a: np.ndarray) -> np.ndarray:
        self.require_commuting()
        return a

    def field(self, a: np.ndarray, point: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        stacked = np.stack([point[name] for name in self.shapes], axis=-1)
        change = sum(t[..., None] * (stacked @ matrix.T) for t, matrix in zip(a, self._arrays, strict=True))
        return {name: np.asarray(change)[..., place] for place, name in enumerate(self.shapes)}

    @cached_property
    def _arrays(self) -> tuple[np.ndarray, ...]:
        return tuple(np.array(matrix.tolist(), dtype=np.float64) for matrix in self.matrices)

    @property
    def _array_shape(self) -> tuple[int, ...]:
        return tuple(int(size) for size in self.element_shape)

    @property
    def charges(self) -> dict[str, sp.Expr]:
        """θᵀ A_a θ for every symmetric generator, per coordinate."""
        theta = sp.Matrix(self.coordinates)
        symmetric = [matrix for matrix in self.matrices if matrix.is_symmetric()]
        names = [self.name] if len(symmetric) == 1 else [f"{self.name}_{i + 1}" for i in range(len(symmetric))]
        return {name: sp.expand((theta.T * matrix * theta)[0]) for name, matrix in zip(names, symmetric, strict=True)}

    def charge_values(self, point: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        stacked = np.stack([point[name] for name in self.shapes], axis=-1)
        symmetric = [matrix for matrix in self._arrays if np.array_equal(matrix, matrix.T)]
        return {
            name: (stacked * (stacked @ matrix)).sum(axis=-1)
            for name, matrix in zip(self.charges, symmetric, strict=True)
        }

    def balanced(self, point: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """All charges zero, or the smallest norm on the orbit where they cannot be; rotations leave the point as it is.

        One generator after the other: ‖exp(tA)θ‖² is convex in t, and least where its charge vanishes. Raises
        ``DomainError`` where what a generator enlarges, or what it shrinks, is zero.
        """
        point = dict(point)
        for place, matrix in enumerate(self._arrays):
            if np.array_equal(matrix, matrix.T):
                rates, basis = np.linalg.eigh(matrix)
                stacked = np.stack([point[name] for name in self.shapes], axis=-1)
                squares = np.moveaxis((stacked @ basis) ** 2, -1, 0)
                moving = np.abs(rates) > 0
                g = self.identity()
                g[place] = np.log(balancing_factor(rates[moving], squares[moving], f"'{self.name}'"))
                point = self.act(g, point)
        return point


def _exponential(t: Any, matrix: sp.ImmutableMatrix) -> sp.Matrix:
    """exp(t A) in closed form."""
    size = matrix.shape[0]
    if matrix.is_diagonal():
        return sp.diag(*(sp.exp(t * entry) for entry in matrix.diagonal()))
    square = (matrix**2)[0, 0]
    if square > 0 and matrix**2 == square * sp.eye(size):
        # A² = s·1 sums to cosh and sinh; the general exponential finds the same slowly and in exponentials.
        root = sp.sqrt(square)
        return sp.cosh(root * t) * sp.eye(size) + sp.sinh(root * t) / root * matrix
    return (t * matrix).exp()
