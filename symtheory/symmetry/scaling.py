"""One positive number that rescales whole parameters, as through a normalisation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sympy as sp

from symtheory.graph.symbol_names import free_name
from symtheory.symmetry.factor import Factor


@dataclass(frozen=True)
class Scaling(Factor):
    """θ_P ↦ g^{a_P} θ_P with one g > 0; exponents: parameter → a_P."""

    exponents: Mapping[str, sp.Rational]

    @property
    def kind(self) -> str:
        return "scaling"

    @property
    def lives_on(self) -> str:
        return f"({', '.join(self.exponents)}) as wholes"

    @property
    def scalings(self) -> tuple[dict[str, sp.Rational], ...]:
        return (dict(self.exponents),)

    @property
    def dimension(self) -> sp.Expr:
        return sp.Integer(1)

    @property
    def element(self) -> sp.Symbol:
        return sp.Symbol(free_name("g", self.exponents), positive=True)

    @property
    def generators(self) -> tuple[dict[str, Any], ...]:
        return ({name: exponent * self.symbol(name) for name, exponent in self.exponents.items()},)

    def act(self, g: Any, point: Mapping[str, Any]) -> dict[str, Any]:
        return {**point, **{name: g**exponent * point[name] for name, exponent in self.exponents.items()}}

    @property
    def charges(self) -> dict[str, Any]:
        """Σ_P a_P ‖θ_P‖², a number."""
        terms = []
        for name, exponent in self.exponents.items():
            symbol = self.symbol(name)
            square = sp.Trace(symbol.T * symbol) if isinstance(symbol, sp.MatrixExpr) else symbol**2
            terms.append(exponent * square)
        return {self.name: sp.Add(*terms)}
