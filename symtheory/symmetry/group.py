"""The continuous symmetry group of a declared graph."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sympy as sp

from symtheory.errors import DeclarationError
from symtheory.symmetry.factor import Factor


@dataclass(frozen=True)
class SymmetryGroup:
    """The group that the factors found generate; they commute, and meet at most in rescalings of whole parameters.

    lower_bound: reasons why more may exist (operations through which kinds of change pass that were not searched);
    empty when every operation gave a complete answer for linear actions.
    """

    factors: tuple[Factor, ...]
    lower_bound: tuple[str, ...] = ()

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
        """Dimension of the group that the factors generate; what two of them share is a rescaling, counted once."""
        names = sorted({name for factor in self.factors for name in factor.shapes})
        scalings = [[part.get(name, 0) for name in names] for factor in self.factors for part in factor.scalings]
        shared = len(scalings) - sp.Matrix(scalings).rank() if scalings else 0
        return sp.Add(*(factor.dimension for factor in self.factors), -shared)

    @property
    def charges(self) -> dict[str, Any]:
        """All conserved quantities of gradient flow, by name."""
        return {name: charge for factor in self.factors for name, charge in factor.charges.items()}

    def __str__(self) -> str:
        lines = [
            f"{factor.name}: {factor.kind}, dimension {factor.dimension}, on {factor.lives_on}"
            for factor in self.factors
        ] or ["no continuous linear symmetry"]
        lines += [f"lower bound: {reason}" for reason in self.lower_bound]
        return "\n".join(lines)
