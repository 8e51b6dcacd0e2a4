"""A coordinate of a geodesic whose equation has been integrated once."""

from __future__ import annotations

from dataclasses import dataclass

import sympy as sp

from symtheory.geometry.geodesic import TIME
from symtheory.geometry.monotone_inverse import monotone_inverse


@dataclass(frozen=True)
class Quadrature:
    """F(s(t)) = F(s_0) + F'(s_0) s'(0) t: s'(t) F'(s(t)) is constant along a geodesic.

    integrand: F', positive on the domain, so that F is one to one; primitive: F; both in `variable` s.
    """

    integrand: sp.Expr
    primitive: sp.Expr
    variable: sp.Symbol

    @classmethod
    def of(cls, integrand: sp.Expr, variable: sp.Symbol) -> Quadrature | None:
        """The quadrature of an integrand, or None if SymPy finds no primitive of it."""
        # The heuristic Risch method can take minutes; what the other methods miss is left without closed form.
        primitive = sp.integrate(integrand, variable, heurisch=False)
        return None if integrand.has(sp.Integral) or primitive.has(sp.Integral) else cls(integrand, primitive, variable)

    def curve(self, start: sp.Expr, slope: sp.Expr) -> sp.Expr | None:
        """s(t) from s(0) and s'(0), or None if F has no closed inverse."""
        value = self._at(self.primitive, start) + self._at(self.integrand, start) * slope * TIME
        return monotone_inverse(self.primitive, self.variable, value)

    def slope(self, start: sp.Expr, end: sp.Expr) -> sp.Expr:
        """The s'(0) with which the curve from s(0) = start is at `end` when t = 1: (F(end) − F(start))/F'(start)."""
        difference = self._at(self.primitive, end) - self._at(self.primitive, start)
        return difference / self._at(self.integrand, start)

    def _at(self, expression: sp.Expr, value: sp.Expr) -> sp.Expr:
        return expression.subs(self.variable, value)
