"""Geodesics of a metric on matrices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sympy as sp

from symtheory.errors import DerivationError
from symtheory.geometry.geodesic import TIME
from symtheory.geometry.matrix.connection import ChristoffelForm
from symtheory.matrix_calculus.polynomial import Polynomial, letter
from symtheory.matrix_calculus.trace_form import TraceForm, differential, trace_differential


@dataclass(frozen=True)
class MatrixGeodesic:
    """The geodesic γ(t) with γ(0) the point and γ'(0) = ξ, parameter by parameter; t is dimensionless."""

    point: Mapping[str, sp.MatrixSymbol]
    velocity: Mapping[str, sp.MatrixSymbol]
    connection: ChristoffelForm
    time: sp.Symbol = TIME

    @property
    def closed_form(self) -> dict[str, Any] | None:
        """Straight lines where Γ vanishes, else None: no other closed form is known for matrices."""
        if any(self.connection.values.values()):
            return None
        return {name: symbol + self.time * self.velocity[name] for name, symbol in self.point.items()}

    def taylor(self, order: int) -> dict[str, Any]:
        """Taylor polynomial of degree 1, 2 or 3 in t: γ(0) + ξ t − ½ Γ(ξ, ξ) t² − …

        Raises ``DerivationError`` for another order.
        """
        if order not in (1, 2, 3):
            raise DerivationError(f"a Taylor geodesic of order {order} is not derived for matrices: choose 1, 2 or 3")
        definitions = self.connection.definitions
        curve = {name: symbol + self.time * self.velocity[name] for name, symbol in self.point.items()}
        for degree, change in ((2, self.connection.values), (3, self._third() if order == 3 else {})):
            if degree <= order:
                step = self.time**degree / sp.factorial(degree)
                curve = {name: curve[name] - step * definitions.expression(value) for name, value in change.items()}
        return curve

    def _third(self) -> dict[str, Polynomial]:
        """d/dt Γ(γ', γ') at t = 0: the position changes by ξ and the velocity by −Γ(ξ, ξ)."""
        changes: dict[Any, Any] = {}
        for name, symbol in self.point.items():
            changes[symbol] = letter(self.velocity[name])
            changes[self.velocity[name]] = self.connection.values[name] * -1
        for symbol, value in self.connection.definitions.items():
            if isinstance(value, TraceForm):
                changes[symbol] = self.connection.definitions.expression(trace_differential(value, changes))
            else:
                changes[symbol] = differential(value, changes)
        return {name: differential(value, changes) for name, value in self.connection.values.items()}
