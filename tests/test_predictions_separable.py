"""One or two copies of a function: minima over fibres by search, and the mirror flow by integration."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

import symtheory as st
from symtheory.predictions.inversion import closed_inverse
from symtheory.predictions.symbols import ALPHA, MIRROR, PREDICTOR

Q = sp.Rational
DECLARED: dict[str, Callable[..., Any]] = {
    "abs_power": lambda u, v: st.abs(u) ** Q(4, 3) - st.abs(v) ** Q(4, 3),
    "quartic": lambda u, v: v**4 - u**4,
    "cubes": lambda u, v: u**3 - v**3,
    "sum_of_cubes": lambda u, v: u**3 + v**3,
    "roots": lambda u, v: st.abs(u) ** Q(1, 2) - st.abs(v) ** Q(1, 2),
    "exponentials": lambda u, v: st.exp(u) - st.exp(v),
    "cosh": lambda u, v: st.exp(u) + st.exp(-u) - st.exp(v) - st.exp(-v),
    "sum": lambda u, v: u + v,
}
MINIMA = ["abs_power", "quartic", "cubes", "sum_of_cubes", "sum"]
FLOWS = ["abs_power", "quartic", "cubes", "roots", "exponentials", "sum"]


def declared(case: str) -> st.Parametrization:
    d = st.dims("d")
    return st.Parametrization(DECLARED[case](st.param("u", d), st.param("v", d)), name=case)


def numeric(case: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """φ(u, v) and its two derivatives."""
    u, v = sp.symbols("u v", real=True)
    expression = declared(case).elementwise.predictor
    return sp.lambdify((u, v), expression), sp.lambdify((u, v), [sp.diff(expression, x) for x in (u, v)])


@pytest.mark.parametrize("mechanism", ["label_noise", "weight_decay"])
@pytest.mark.parametrize("case", MINIMA)
def test_minimum_over_the_fibre_by_search(case: str, mechanism: str) -> None:
    """One parameter on a grid that holds zero, the other from φ = w by bisection on both of its sides."""
    phi, gradient = numeric(case)
    penalty = declared(case).predictions()[mechanism].formulas[mechanism].results

    def cost(theta: tuple[float, float]) -> float:
        return float(np.square(theta if mechanism == "weight_decay" else gradient(*theta)).sum())

    for w in (0.7, -1.6):
        best = np.inf
        for fixed in np.linspace(-2, 2, 1001):
            for place, far in ((0, 8.0), (0, -8.0), (1, 8.0), (1, -8.0)):
                theta = on_fibre(lambda x, f=fixed, p=place, w=w: phi(*((x, f) if p == 0 else (f, x))) - w, far)
                if theta is not None:
                    best = min(best, cost((theta, fixed) if place == 0 else (fixed, theta)))
        assert best == pytest.approx(float(penalty.subs(PREDICTOR, w)), rel=1e-4)  # grid step 4e-3, squared


def on_fibre(equation: Callable[[float], float], far: float) -> float | None:
    """The root between 0 and `far`, if there is one."""
    if equation(0.0) * equation(far) > 0:
        return None
    return float(brentq(equation, 0.0, far, xtol=1e-14))


@pytest.mark.parametrize("case", FLOWS)
def test_mirror_flow_by_integration(case: str) -> None:
    phi, gradient = numeric(case)
    formulas = declared(case).predictions()["mirror"].formulas
    start = [float(sp.sympify(formulas["mirror_start"].results[name]).subs(ALPHA, 0.7)) for name in "uv"]
    for time in (0.08, -0.05):
        flow = solve_ivp(lambda _, theta: gradient(*theta), (0, time), start, rtol=1e-11, atol=1e-13)
        values = {ALPHA: 0.7, MIRROR: time}
        assert float(formulas["mirror_inverse"].results.subs(values)) == pytest.approx(phi(*flow.y[:, -1]), rel=1e-8)
        slope = sum(np.square(gradient(*flow.y[:, -1])))
        assert float(formulas["mirror_slope"].results.subs(values)) == pytest.approx(slope, rel=1e-8)


def test_a_copy_that_has_come_to_rest_stays_there() -> None:
    """|v|^(4/3) reaches zero after a finite time; w then follows the other copy alone."""
    formulas = declared("abs_power").predictions()["mirror"].formulas
    end = 9 * 0.7 ** (2 / 3) / 8
    w = formulas["mirror_inverse"].results.subs(ALPHA, 0.7)
    alone = (8 / 9 * (end + 1.5 * end)) ** (3 / 2 * 4 / 3)
    assert float(w.subs(MIRROR, 1.5 * end)) == pytest.approx(alone, rel=1e-12)


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        (lambda u, v: st.exp(u) - st.exp(v), "has no smallest value"),
        (lambda u, v: st.abs(u) ** Q(1, 2) - st.abs(v) ** Q(1, 2), "not seen to grow"),
        (lambda u, v: u**4 - v**2, "no difference of two copies"),
        (lambda u, v: st.exp(u * v) - 1, "no monomial|no polynomial"),
    ],
)
def test_what_cannot_be_told_is_not_stated(node: Callable[..., Any], reason: str) -> None:
    d = st.dims("d")
    found = st.Parametrization(node(st.param("u", d), st.param("v", d)), name="odd").predictions()
    assert "label_noise" not in found
    assert re.search(reason, found.not_applicable["label_noise"])


def test_an_inverse_is_tried_before_it_is_believed() -> None:
    x = sp.Symbol("x", positive=True)
    y = sp.Symbol("y", real=True)
    assert closed_inverse(sp.sinh(x), x, y, (sp.Integer(1),)) is not None
    assert closed_inverse((x - 2) ** 2, x, y, (sp.Integer(3),)) == sp.sqrt(y) + 2
    left = closed_inverse((x - 2) ** 2, x, y, (sp.Integer(1),))
    assert left is None or left.subs(y, 1) == 1  # the other root, or none
    assert closed_inverse(x + sp.exp(x), x, y, (sp.Integer(1),)) is None


@pytest.mark.parametrize(
    "graph",
    [
        lambda u, v: st.relu(u**-1),
        lambda u, v: st.relu(v - u**-1) * u,
        lambda u, v: st.relu(u) * v**-1,
        lambda u, v: st.relu(st.relu(u**-1) - v),
    ],
)
def test_a_pole_inside_a_kink_is_no_start(graph: Callable[..., Any]) -> None:
    """SymPy refuses to compare the infinity there with zero: a reason, and no error, for every start that has it."""
    d = st.dims("d")
    P = st.Parametrization(graph(st.param("u", d), st.param("v", d)), name="pole")
    assert "mirror" in P.predictions().not_applicable
