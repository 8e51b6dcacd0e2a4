"""The continuous symmetry group of a declared graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sympy as sp

from symtheory.errors import DeclarationError, DomainError
from symtheory.graph.shapes import Shape
from symtheory.lazy_module import LazyModule
from symtheory.symmetry.discrete import DiscreteSymmetry
from symtheory.symmetry.factor import Factor, are_arrays, as_arrays
from symtheory.symmetry.site import Pattern

if TYPE_CHECKING:
    import numpy as np
else:
    np = LazyModule("numpy")

# Sweeps over coupled factors converge by a constant factor each; what is left then is rounding.
SWEEPS, SETTLED = 500, 1e-13


@dataclass(frozen=True)
class SymmetryGroup:
    """The group that the factors found generate.

    lower_bound: reasons why more may exist (operations through which kinds of change pass that were not searched);
    empty when none is known, which is no proof: that is what a certificate is for. discrete: permutations and sign
    flips that the continuous factors do not contain; they are reported and not used for geometry.
    """

    factors: tuple[Factor, ...]
    lower_bound: tuple[str, ...] = ()
    discrete: tuple[DiscreteSymmetry, ...] = ()

    def __iter__(self) -> Iterator[Factor]:
        return iter(self.factors)

    def __len__(self) -> int:
        return len(self.factors)

    def __getitem__(self, name: str) -> Factor:
        for factor in self.factors:
            if factor.name == name:
                return factor
        known = ", ".join(factor.name for factor in self.factors) or "none"
        raise DeclarationError(f"there is no symmetry factor '{name}': the factors are {known}")

    @property
    def dimension(self) -> sp.Expr:
        """Dimension of the group that the factors generate; rescalings and shifts that two of them share count once."""
        total = sp.Add(*(factor.hollow_dimension for factor in self.factors))
        patterns: dict[sp.Expr, list[Pattern]] = {}
        for factor in self.factors:
            for weight, pattern in factor.weighted_patterns:
                patterns.setdefault(weight, []).append(pattern)
        for weight, members in patterns.items():
            keys = sorted({key for pattern in members for key in pattern}, key=str)
            rank = sp.Matrix([[pattern.get(key, 0) for key in keys] for pattern in members]).rank()
            total += rank * weight
        return sp.expand(total)

    @property
    def charges(self) -> dict[str, Any]:
        """All conserved quantities of gradient flow, by name."""
        return {name: charge for factor in self.factors for name, charge in factor.charges.items()}

    def act(self, g: Mapping[str, Any], point: Mapping[str, Any]) -> dict[str, Any]:
        """The point moved by one element for each factor named in ``g``, factor after factor in the group's order."""
        for name in g:
            self[name]  # an unknown name is refused with the names there are
        if are_arrays(point):
            point = as_arrays(point, self._shapes)
        for factor in self.factors:
            if factor.name in g:
                point = factor.act(g[factor.name], point)
        return dict(point)

    @property
    def _shapes(self) -> dict[str, Shape]:
        return {name: shape for factor in self.factors for name, shape in factor.shapes.items()}

    def sample(self, rng: np.random.Generator, condition: float = 10.0) -> dict[str, np.ndarray]:
        """A random element for every factor, as arrays; needs bound sizes."""
        return {factor.name: factor.sample(rng, condition) for factor in self.factors}

    def canonical(self, point: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The balanced point on the orbit of a point of float64 arrays: the same for all points of a generic orbit.

        Generic means: no two Gram eigenvalues alike. Coordinatewise factors whose generators are not symmetric, such as
        rotations, have no canonical gauge here and leave their coordinates as they are.

        Every factor brings the point to its own canonical gauge (see ``Factor.balanced``: charges zero, Gram matrices
        diagonal with falling entries, signs fixed), in turn, until none moves it any more. For changes of basis and
        rescalings that is the point of smallest norm. Raises ``ShapeError`` for arrays of other shapes than declared,
        and ``DomainError`` where an orbit has no such point or the sweeps do not settle.
        """
        point = as_arrays(point, self._shapes)
        for _ in range(SWEEPS):
            before = point
            for factor in self.factors:
                point = factor.balanced(point)
            scale = max((float(np.abs(value).max(initial=0.0)) for value in point.values()), default=0.0)
            moved = [np.abs(point[name] - before[name]).max(initial=0.0) for name in point]
            if max(moved, default=0.0) <= SETTLED * scale:
                return dict(point)
        raise DomainError(f"the balanced gauge did not settle in {SWEEPS} sweeps over the factors")

    def __str__(self) -> str:
        lines = [
            f"{factor.name}: {factor.kind}, dimension {factor.dimension}, on {factor.lives_on}"
            for factor in self.factors
        ] or ["no continuous affine symmetry"]
        lines += [f"discrete: {symmetry}" for symmetry in self.discrete]
        lines += [f"lower bound: {reason}" for reason in self.lower_bound]
        return "\n".join(lines)
