"""Riemann tensor and scalar curvature in explicit components."""

from __future__ import annotations

from dataclasses import dataclass

import sympy as sp

from symtheory.geometry.christoffel_symbols import ChristoffelSymbols


@dataclass(frozen=True)
class Curvature:
    """Curvature of one k-dimensional block.

    riemann: nonzero components {(i, j, k, l): R^i_jkl}, with R^i_jkl = ∂_k Γ^i_lj − ∂_l Γ^i_kj
    + Γ^i_km Γ^m_lj − Γ^i_lm Γ^m_kj.
    ricci: k×k matrix R_jl = R^i_jil.
    scalar: g^{jl} R_jl; twice the Gauss curvature on a surface.
    """

    riemann: dict[tuple[int, int, int, int], sp.Expr]
    ricci: sp.ImmutableMatrix
    scalar: sp.Expr

    @property
    def is_flat(self) -> bool:
        """Whether the Riemann tensor vanishes."""
        return not self.riemann


def curvature(metric: sp.MatrixBase, christoffel: ChristoffelSymbols) -> Curvature:
    """Curvature of a k×k metric with its Christoffel symbols; k^4 components, for small k."""
    size = range(metric.rows)
    riemann = {}
    for i in size:
        for j in size:
            for k in size:
                for l in range(k):
                    value = sp.cancel(_component(christoffel, i, j, k, l))
                    if value != 0:
                        riemann[i, j, k, l], riemann[i, j, l, k] = value, -value
    ricci = sp.Matrix(len(size), len(size), lambda j, l: sum(riemann.get((i, j, i, l), sp.S.Zero) for i in size))
    ricci = ricci.applyfunc(sp.cancel)
    scalar = sp.factor(sp.cancel((metric.inv() * ricci).trace())) if riemann else sp.S.Zero
    return Curvature(riemann, sp.ImmutableMatrix(ricci), scalar)


def _component(christoffel: ChristoffelSymbols, i: int, j: int, k: int, l: int) -> sp.Expr:
    x, gamma = christoffel.coordinates, christoffel.get
    derivatives = sp.diff(gamma(i, l, j), x[k]) - sp.diff(gamma(i, k, j), x[l])
    products = [gamma(i, k, m) * gamma(m, l, j) - gamma(i, l, m) * gamma(m, k, j) for m in range(len(x))]
    return sp.Add(derivatives, *products)
