"""Positive factors: one for every index of some places, or one for whole parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sympy as sp

from symtheory.graph.shapes import Shape
from symtheory.graph.symbol_names import free_name
from symtheory.lazy_module import LazyModule
from symtheory.symmetry.balance import balancing_factor
from symtheory.symmetry.factor import Factor, are_arrays
from symtheory.symmetry.newton_gauge import smallest_norm
from symtheory.symmetry.site import Pattern, Site, patterns_of

if TYPE_CHECKING:
    import numpy as np
else:
    np = LazyModule("numpy")


@dataclass(frozen=True)
class Rescaling(Factor):
    """θ_P ↦ g^{c_P} ⊙ θ_P with positive g of shape (*copies), one for every index of the places copied over.

    Without copies g is one number that rescales whole parameters (a "scaling"), as through a normalisation.
    """

    sites: tuple[Site, ...]

    @property
    def kind(self) -> str:
        return "rescaling" if self.copies else "scaling"

    @property
    def copies(self) -> Shape:
        return self.sites[0].copy_sizes

    @property
    def lives_on(self) -> str:
        if not self.copies:
            return f"({', '.join(site.parameter for site in self.sites)}) as wholes"
        if len(self.copies) == 1:
            places = ", ".join(f"{site.parameter} {site.layout.describe(site.copies[0])}" for site in self.sites)
            return f"edge R^{self.copies[0]} ({places})"
        return f"coordinates of ({', '.join(site.parameter for site in self.sites)})"

    @property
    def dimension(self) -> sp.Expr:
        return sp.Mul(*self.copies)

    @property
    def weighted_patterns(self) -> tuple[tuple[sp.Expr, Pattern], ...]:
        return patterns_of({site: site.copies for site in self.sites})

    @property
    def _is_diagonal_matrix(self) -> bool:
        """Whether g is written as a diagonal matrix that multiplies matrices from one side."""
        return len(self.copies) == 1 and all(site.is_plain_matrix() for site in self.sites)

    @property
    def element(self) -> Any:
        """A diagonal h×h matrix along one axis of matrices; else a positive number, that of one index."""
        if self._is_diagonal_matrix:
            return sp.MatrixSymbol(free_name("A", self.shapes), self.copies[0], self.copies[0])
        return sp.Symbol(free_name("g", self.shapes), positive=True)

    @property
    def element_shape(self) -> Shape:
        return self.copies

    @property
    def generators(self) -> tuple[dict[str, Any], ...]:
        """X_A for a diagonal A, or for the factor of one index."""
        field: dict[str, Any] = {}
        for site in self.sites:
            if self._is_diagonal_matrix:
                change = site.exponent * _along(site, self.element, self._whole(site))
            else:
                change = site.exponent * site.symbol()
            field[site.parameter] = field[site.parameter] + change if site.parameter in field else change
        return (field,)

    def act(self, g: Any, point: Mapping[str, Any]) -> dict[str, Any]:
        """g: positive numbers (*copies) as an array; of one index, or as a diagonal matrix, as an expression."""
        moved = dict(point)
        numbers = are_arrays(point)
        for site in self.sites:
            power = g**site.exponent if not numbers else np.asarray(g) ** float(site.exponent)
            value = moved[site.parameter]
            if numbers:
                moved[site.parameter] = site.folded(power[..., None] * site.unfolded(value))
            else:
                moved[site.parameter] = _along(site, power, value) if self._is_diagonal_matrix else power * value
        return moved

    def identity(self) -> np.ndarray:
        return np.ones(self._array_shape)

    def inverse(self, g: Any) -> Any:
        return 1 / g if isinstance(g, np.ndarray) else g**-1

    def compose(self, g: Any, h: Any) -> Any:
        return g * h

    def sample(self, rng: np.random.Generator, condition: float = 10.0) -> np.ndarray:
        """Uniform in the logarithm between κ^(−½) and κ^½, κ = condition."""
        spread = np.log(condition) / 2
        return np.asarray(np.exp(rng.uniform(-spread, spread, size=self._array_shape)))

    def algebra_sample(self, rng: np.random.Generator) -> np.ndarray:
        return np.asarray(rng.standard_normal(self._array_shape))

    def exponential(self, a: np.ndarray) -> np.ndarray:
        return np.exp(a)

    def field(self, a: np.ndarray, point: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        change: dict[str, np.ndarray] = {}
        for site in self.sites:
            moved = site.folded(float(site.exponent) * a[..., None] * site.unfolded(point[site.parameter]))
            change[site.parameter] = change.get(site.parameter, 0) + moved
        return change

    @property
    def charges(self) -> dict[str, Any]:
        """Σ_P c_P ‖θ_P‖², for every index: the diagonal of a matrix, or the number that belongs to one index."""
        total: Any = 0
        for site in self.sites:
            if self._is_diagonal_matrix:
                symbol = self._whole(site)
                square = symbol * symbol.T if site.copies[0] == 0 else symbol.T * symbol
                term = self.weight(site) * square
                total = term if total == 0 else total + term
            else:
                symbol = site.symbol()
                square = sp.Trace(symbol.T * symbol) if isinstance(symbol, sp.MatrixExpr) else symbol**2
                total = total + self.weight(site) * square
        return {self.name: sp.DiagonalMatrix(total) if self._is_diagonal_matrix else total}

    def charge_values(self, point: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {self.name: np.asarray(sum(float(self.weight(site)) * _squares(site, point) for site in self.sites))}

    def weight(self, site: Site) -> sp.Rational:
        """Factor of a parameter's squares in the charge; along an edge the first parameter counts positive."""
        return sp.sign(self.sites[0].exponent) * site.exponent if self.copies else site.exponent

    def balanced(self, point: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Charges zero; where all exponents have one sign, Σ_P |c_P| ‖θ_P‖² = 1 instead.

        Raises ``DomainError`` where everything that g enlarges, or everything that it shrinks, is zero.
        """
        if len({site.parameter for site in self.sites}) < len(self.sites):  # θ ↦ g θ g⁻¹ has no closed form
            return smallest_norm(self, list(np.eye(self.identity().size).reshape(-1, *self._array_shape)), point)
        exponents = np.array([float(site.exponent) for site in self.sites])
        squares = np.stack([_squares(site, point) for site in self.sites])
        return self.act(balancing_factor(exponents, squares, f"'{self.name}' on {self.lives_on}"), point)

    @property
    def _array_shape(self) -> tuple[int, ...]:
        return tuple(int(size) for size in self.copies)

    def _whole(self, site: Site) -> Any:
        return self.symbol(site.parameter)


def _along(site: Site, matrix: Any, symbol: Any) -> Any:
    return matrix * symbol if site.copies[0] == 0 else symbol * matrix


def _squares(site: Site, point: Mapping[str, np.ndarray]) -> np.ndarray:
    return np.asarray((site.unfolded(point[site.parameter]) ** 2).sum(axis=-1))
