"""The orbit-volume term: its determinant against exact rational arithmetic, and where there is none."""

from __future__ import annotations

import pytest
import sympy as sp

import symtheory as st
from symtheory.catalog.depth_product import product_of
from symtheory.errors import DerivationError
from symtheory.predictions.gauge_correction import gauge_correction, gram_determinant


@pytest.mark.parametrize("k", [2, 3, 5, 9])
def test_determinant_of_many_factors(k: int) -> None:
    """Σ_i Π_{j≠i} 4 u_j² at rational points, where the determinant of J Jᵀ is exact arithmetic."""
    graph = product_of(k)
    charges = list(graph.conserved().values())
    coordinates = graph.model.coordinates
    jacobian = sp.Matrix(charges).jacobian(coordinates)
    point = {symbol: sp.Rational(2 * place + 3, place + 2) for place, symbol in enumerate(coordinates)}
    at_point = jacobian.subs(point)
    exact = (at_point * at_point.T).det()
    assert gram_determinant(jacobian).subs(point) == exact
    assert float(gauge_correction(graph.model, charges).subs(point)) == pytest.approx(
        float(sp.log(exact)) / 2, rel=1e-14
    )


def test_charges_that_depend_on_each_other_fix_no_gauge() -> None:
    d = st.dims("d")
    a, b, c, e = (st.param(name, d) for name in "abce")
    graph = st.Parametrization(a * a + b * b - c * c - e * e)
    charges = list(graph.conserved().values())
    assert len(charges) == graph.model.dimension
    with pytest.raises(DerivationError, match="4 charges depend on each other"):
        gauge_correction(graph.model, charges)
