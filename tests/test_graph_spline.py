"""The spline operation against scipy's, its tangent against autograd, and declarations that are refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.interpolate import CubicHermiteSpline

import symtheory as st
from symtheory.errors import CalculusError, DeclarationError
from symtheory.graph.node import Node

KNOTS, VALUES, SLOPES = (-1.0, 0.0, 0.5, 2.0), (-3.0, 0.0, 0.2, 1.0), (2.0, 0.1, 0.5, 0.25)
POINTS = np.array([-2.0, -1.0, -0.3, 0.0, 0.1, 0.5, 1.9, 2.0, 4.0])


def spline(x: Node) -> Node:
    return st.spline(x, KNOTS, VALUES, SLOPES)


def test_values_and_slopes_are_scipys_and_straight_beyond() -> None:
    module = st.generate(st.Parametrization(spline(st.param("u", 9)), name="s")).load()
    u = torch.tensor(POINTS, requires_grad=True)
    w = module.predictor({"u": u})
    (slope,) = torch.autograd.grad(w.sum(), u)
    oracle = CubicHermiteSpline(KNOTS, VALUES, SLOPES)
    inside = np.clip(POINTS, KNOTS[0], KNOTS[-1])
    assert np.allclose(w.detach(), oracle(inside) + oracle(inside, 1) * (POINTS - inside), rtol=1e-13)
    assert np.allclose(slope, oracle(inside, 1), rtol=1e-13)  # at the knots too, where two pieces meet


def test_tangent_is_the_derivative() -> None:
    u = st.param("u", 9)
    graph = st.Parametrization(spline(u), name="s")
    moved = graph.differential({"u": st.constant("xi", 9)})
    assert moved is not None
    tangent = st.generate(st.Parametrization(moved, name="ds")).load()
    point, xi = torch.tensor(POINTS), torch.linspace(1, 2, 9, dtype=torch.float64)
    u_value = point.clone().requires_grad_()
    (slope,) = torch.autograd.grad(st.generate(graph).load().predictor({"u": u_value}).sum(), u_value)
    assert torch.allclose(tangent.predictor({"u": point}, xi=xi), slope * xi, rtol=1e-13)
    with pytest.raises(CalculusError, match="jumps"):
        st.Parametrization(moved, name="ds").differential({"u": st.constant("zeta", 9)})


def test_a_spline_has_no_formula() -> None:
    graph = st.Parametrization(spline(st.param("u", 2)), name="s")
    of_formulas = {"discrete_noether", "mirror", "stationary_density", "weight_decay", "orbit_volume"}
    assert not of_formulas & set(graph.predictions())
    with pytest.raises(CalculusError, match="known by its values"):
        graph.components()


@pytest.mark.parametrize(
    "numbers",
    [((0,), (0,), (1,)), ((0, 1), (0,), (1, 1)), ((1, 0), (0, 1), (1, 1)), ((0, 1), (0, float("inf")), (1, 1))],
)
def test_bad_numbers_are_refused(numbers: tuple[tuple[float, ...], ...]) -> None:
    with pytest.raises(DeclarationError, match="spline"):
        st.spline(st.param("u", 2), *numbers)
