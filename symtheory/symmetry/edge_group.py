"""Groups of changes of basis on an inner edge: GL(h), O(h), and the rotations that fix the ones vector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING, Any

import sympy as sp

from symtheory.errors import CalculusError
from symtheory.graph.shapes import Shape, Size, show
from symtheory.graph.symbol_names import free_name
from symtheory.lazy_module import LazyModule
from symtheory.symmetry.balance import (
    diagonalising_rotation,
    geometric_mean_gauge,
    helmert,
    in_complement,
    positive_rows,
)
from symtheory.symmetry.factor import Factor, Pattern, are_arrays
from symtheory.symmetry.newton_gauge import smallest_norm
from symtheory.symmetry.site import Site, patterns_of

if TYPE_CHECKING:
    import numpy as np
    from scipy import linalg
else:
    np = LazyModule("numpy")
    linalg = LazyModule("scipy.linalg")

GENERAL, ORTHOGONAL, FIXING_ONES = "GL", "O", "O_fixing_ones"


@dataclass(frozen=True)
class EdgeGroup(Factor):
    """A change of basis g of R^h, absorbed by the parameters around the edge; one for every index of the copies.

    sites: where it acts; size: h; copies: sizes of the places that tell the copies apart, such as the heads of
    attention; algebra: "GL", "O" or "O_fixing_ones" (orthogonal, g 1 = 1). A site of exponent −1 of a GL element is
    moved by the contragredient (g⁻¹)ᵀ.
    """

    sites: tuple[Site, ...]
    size: Size
    algebra: str
    copies: Shape = ()

    @property
    def kind(self) -> str:
        return self.algebra

    @property
    def lives_on(self) -> str:
        each = f", one for each index of {show(self.copies)}," if self.copies else ""
        return f"edge R^{self.size}{each} ({', '.join(site.describe() for site in self.sites)})"

    @property
    def dimension(self) -> sp.Expr:
        h = self.size
        one = {GENERAL: h**2, ORTHOGONAL: h * (h - 1) / 2, FIXING_ONES: (h - 1) * (h - 2) / 2}[self.algebra]
        return sp.Mul(one, *self.copies)

    @property
    def hollow_dimension(self) -> sp.Expr:
        return self.dimension - (sp.Mul(self.size, *self.copies) if self.algebra == GENERAL else 0)

    @property
    def weighted_patterns(self) -> tuple[tuple[sp.Expr, Pattern], ...]:
        if self.algebra != GENERAL:
            return ()
        return patterns_of({site: (*site.copies, site.place or 0) for site in self.sites})

    @property
    def element(self) -> sp.MatrixSymbol:
        """An h×h matrix for one copy: invertible, or orthogonal."""
        return sp.MatrixSymbol(free_name("A", self.shapes), self.size, self.size)

    @property
    def element_shape(self) -> Shape:
        return (*self.copies, self.size, self.size)

    @property
    def generators(self) -> tuple[dict[str, Any], ...]:
        """X_A for an arbitrary A of the Lie algebra (h×h; antisymmetric for the orthogonal groups)."""
        field: dict[str, Any] = {}
        for site in self.sites:
            matrix = self.element if site.exponent > 0 else -self.element.T
            change = _along(site, matrix, site.symbol())
            name = site.parameter
            field[name] = field[name] + change if name in field else change
        return (field,)

    def act(self, g: Any, point: Mapping[str, Any]) -> dict[str, Any]:
        """g: an h×h matrix expression, or an array (*copies, h, h)."""
        moved = dict(point)
        numbers = are_arrays(point)
        for site in self.sites:
            if numbers:
                matrix = g if site.exponent > 0 else np.linalg.inv(g).swapaxes(-1, -2)
                moved[site.parameter] = site.folded(matrix @ site.unfolded(moved[site.parameter]))
            else:
                self._require_matrix(site)
                matrix = g if site.exponent > 0 else (g**-1).T
                moved[site.parameter] = _along(site, matrix, moved[site.parameter])
        return moved

    def _require_matrix(self, site: Site) -> None:
        if not site.is_plain_matrix() or self.copies:
            raise CalculusError(
                f"'{site.parameter}' is no matrix under '{self.name}': act on arrays, or on one copy of it"
            )

    def identity(self) -> np.ndarray:
        return np.broadcast_to(np.eye(int(self.size)), self._array_shape).copy()

    def inverse(self, g: Any) -> Any:
        return np.linalg.inv(g) if isinstance(g, np.ndarray) else g**-1

    def compose(self, g: Any, h: Any) -> Any:
        return g @ h if isinstance(g, np.ndarray) else g * h

    def sample(self, rng: np.random.Generator, condition: float = 10.0) -> np.ndarray:
        """Singular values are uniform in the logarithm between κ^(−½) and κ^½, κ the condition number."""
        left, right = (self.exponential(_skew_part(self._normal(rng))) for _ in range(2))
        if self.algebra != GENERAL:
            return self.exponential(self.algebra_sample(rng))
        spread = np.log(condition) / 2
        values = np.exp(rng.uniform(-spread, spread, size=self._array_shape[:-1]))
        return np.asarray((left * values[..., None, :]) @ right)

    def algebra_sample(self, rng: np.random.Generator) -> np.ndarray:
        entries = self._normal(rng)
        if self.algebra == GENERAL:
            return entries
        skew = _skew_part(entries)
        return _fixing_ones(skew) if self.algebra == FIXING_ONES else skew

    def exponential(self, a: np.ndarray) -> np.ndarray:
        return np.asarray(linalg.expm(a))

    def field(self, a: np.ndarray, point: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        change: dict[str, np.ndarray] = {}
        for site in self.sites:
            matrix = a if site.exponent > 0 else -a.swapaxes(-1, -2)
            moved = site.folded(matrix @ site.unfolded(point[site.parameter]))
            change[site.parameter] = change.get(site.parameter, 0) + moved
        return change

    @property
    def charges(self) -> dict[str, Any]:
        """Σ ± (Gram matrix along the place), an h×h matrix for every copy; none for the orthogonal groups."""
        if self.algebra != GENERAL:
            return {}
        total = sp.ZeroMatrix(self.size, self.size)
        for site in self.sites:
            symbol = site.symbol()
            total = total + self.sign(site) * (symbol * symbol.T if site.side == 0 else symbol.T * symbol)
        return {self.name: total}

    def charge_values(self, point: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        if self.algebra != GENERAL:
            return {}
        grams = [self.sign(site) * self._gram(site, point) for site in self.sites]
        return {self.name: np.asarray(sum(grams[1:], grams[0]))}

    def balanced(self, point: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Charges zero (GL), Gram matrices diagonal with falling entries, largest entries positive.

        Raises ``DomainError`` where a Gram matrix has no full rank: then the orbit has no balanced point.
        """
        names = [site.parameter for site in self.sites]
        if self.algebra == GENERAL and len(set(names)) < len(names):  # θ ↦ g θ g⁻¹ has no closed form
            point = smallest_norm(self, self._symmetric_basis(), point)
        elif self.algebra == GENERAL:
            moved, countered = (self._total_gram(point, sign) for sign in (1, -1))
            point = self.act(geometric_mean_gauge(moved, countered, f"'{self.name}' on {self.lives_on}"), point)
        gram = self._total_gram(point, 1) + self._total_gram(point, -1)
        point = self.act(diagonalising_rotation(gram, fixing_ones=self.algebra == FIXING_ONES), point)
        # What is left are signs: the largest entry of every row, of all parameters together, is made positive. Those
        # that g meets on both sides do not tell, since a sign there comes twice.
        once = [site for site in self.sites if names.count(site.parameter) == 1] or self.sites
        rows = np.concatenate([site.unfolded(point[site.parameter]) for site in once], axis=-1)
        if self.algebra == FIXING_ONES:
            return self.act(in_complement(positive_rows(helmert(int(self.size)).T @ rows)), point)
        return self.act(positive_rows(rows), point)

    def _symmetric_basis(self) -> list[np.ndarray]:
        basis = []
        for copy in np.ndindex(self._array_shape[:-2]):
            for i, j in combinations_with_replacement(range(int(self.size)), 2):
                element = np.zeros(self._array_shape)
                element[(*copy, i, j)] = element[(*copy, j, i)] = 1.0
                basis.append(element)
        return basis

    def sign(self, site: Site) -> int:
        """Signs as the published charge GᵀG − HᵀH has them: the first parameter counts positive."""
        return int(sp.sign(site.exponent * self.sites[0].exponent))

    def _total_gram(self, point: Mapping[str, np.ndarray], sign: int) -> np.ndarray:
        """Of all that is moved by g (sign 1) or by its contragredient (−1)."""
        total = np.zeros(self._array_shape)
        for site in self.sites:
            if site.exponent * sign > 0:
                total = total + self._gram(site, point)
        return total

    def _gram(self, site: Site, point: Mapping[str, np.ndarray]) -> np.ndarray:
        rows = site.unfolded(point[site.parameter])
        return rows @ rows.swapaxes(-1, -2)

    @property
    def _array_shape(self) -> tuple[int, ...]:
        return tuple(int(size) for size in self.element_shape)

    def _normal(self, rng: np.random.Generator) -> np.ndarray:
        return rng.standard_normal(self._array_shape)


def _along(site: Site, matrix: Any, symbol: Any) -> Any:
    """The matrix applied on the site's side of another matrix."""
    return matrix * symbol if site.side == 0 else symbol * matrix.T


def _skew_part(matrix: np.ndarray) -> np.ndarray:
    return np.asarray((matrix - matrix.swapaxes(-1, -2)) / 2)


def _fixing_ones(skew: np.ndarray) -> np.ndarray:
    """P A P with the projection P onto the complement of the ones vector: antisymmetric, and A 1 = 0."""
    size = skew.shape[-1]
    projection = np.eye(size) - np.ones((size, size)) / size
    return np.asarray(projection @ skew @ projection)
