"""Closed-form and Taylor geodesics against the geodesic equation, exactly and by numerical integration."""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import solve_ivp

from symtheory.errors import DerivationError
from symtheory.geometry import ElementwiseGeometry, Geodesic, Metric, geometry
from symtheory.graph.elementwise import ElementwiseModel

u, v = sp.symbols("u v", real=True)
HADAMARD = ElementwiseModel((u, v), u * v, (sp.diag(1, -1),))
SQUARED = ElementwiseModel((u, v), u**2 - v**2, (sp.Matrix([[0, 1], [1, 0]]),))


def product(k: int) -> ElementwiseModel:
    factors = sp.symbols(f"u1:{k + 1}", real=True)
    generators = [sp.diag(*[int(i == j) - int(i == k - 1) for i in range(k)]) for j in range(k - 1)]
    return ElementwiseModel(factors, sp.Mul(*factors), tuple(generators))


MODELS = {"hadamard": HADAMARD, "squared_difference": SQUARED, "depth_3": product(3), "depth_4": product(4)}
models = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())
quotient_metrics = pytest.mark.parametrize("name", ["invariant", "mixed"])

RTOL = 1e-11  # of the integrator; the comparisons below allow two digits more for its accumulated error
AGREEMENT = 1e-9


def start_values(g: ElementwiseGeometry, horizontal: bool) -> tuple[list[sp.Rational], list[sp.Expr]]:
    """An exact point and an exact velocity there, horizontal if asked for."""
    point = [sp.Rational(5 + 3 * i, 4 - i % 2) for i in range(len(g.coordinates))]
    xi = sp.Matrix([sp.Rational(2 - i, 3 + i) for i in range(len(point))])
    if horizontal:
        xi = g.horizontal_projection.subs(dict(zip(g.coordinates, point, strict=True))) * xi
    return point, list(xi)


def values(curve: Geodesic, point: list[sp.Rational], xi: list[sp.Expr]) -> dict[sp.Symbol, sp.Expr]:
    return dict(zip(curve.initial.values(), point, strict=True)) | dict(zip(curve.velocity.values(), xi, strict=True))


def curve_at(g: ElementwiseGeometry, curve: Geodesic) -> tuple[list[sp.Expr], list[sp.Rational], list[sp.Expr]]:
    point, xi = start_values(g, curve.kind == "horizontal")
    known = values(curve, point, xi)
    return [curve.explicit()[x].xreplace(known) for x in g.coordinates], point, xi


def integrate(g: ElementwiseGeometry, point: list[sp.Rational], xi: list[sp.Expr], end: float) -> np.ndarray:
    k = len(g.coordinates)
    velocity = sp.symbols(f"w:{k}")
    form = sp.lambdify((g.coordinates, velocity), g.christoffel().form(velocity))

    def field(_: float, state: np.ndarray) -> np.ndarray:
        return np.concatenate([state[k:], -np.array(form(state[:k], state[k:]), dtype=float)])

    state = np.array([float(value) for value in [*point, *xi]])
    return solve_ivp(field, (0, end), state, method="DOP853", rtol=RTOL, atol=1e-13).y[:k, -1]


@models
@quotient_metrics
@pytest.mark.parametrize("horizontal", [False, True])
def test_closed_form_solves_the_geodesic_equation(model: ElementwiseModel, name: str, horizontal: bool) -> None:
    g = geometry(model, name)
    curve = g.geodesic(horizontal)
    assert curve.kind == ("horizontal" if horizontal or name == "mixed" else "all")
    gamma, point, xi = curve_at(g, curve)
    t = curve.time
    slope = [sp.diff(value, t) for value in gamma]
    assert [value.subs(t, 0) for value in gamma] == point
    assert [sp.nsimplify(value.subs(t, 0)) for value in slope] == xi
    speeds = []
    for moment in (sp.Rational(0), sp.Rational(1, 7), sp.Rational(2, 5)):
        here = dict(zip(g.coordinates, (value.subs(t, moment) for value in gamma), strict=True))
        now = [value.subs(t, moment) for value in slope]
        force = g.christoffel().form(now)
        for i, value in enumerate(slope):
            residual = sp.diff(value, t).subs(t, moment) + force[i].xreplace(here)
            assert abs(residual.evalf(40)) < 1e-30  # forty digits, so only a wrong formula can be larger
        metric = g.metric.xreplace(here)
        speeds.append(g.quadratic_form(now).xreplace(here).evalf(40))
        if curve.kind == "horizontal":
            for generator in model.generators:
                vertical = generator * sp.Matrix([here[x] for x in g.coordinates])
                assert abs((sp.Matrix(now).T * metric * vertical)[0].evalf(40)) < 1e-30
    assert max(abs(speed - speeds[0]) for speed in speeds) < 1e-30


@models
@quotient_metrics
def test_closed_form_agrees_with_numerical_integration(model: ElementwiseModel, name: str) -> None:
    g = geometry(model, name)
    curve = g.geodesic()
    gamma, point, xi = curve_at(g, curve)
    found = integrate(g, point, xi, end=0.4)
    expected = [float(value.subs(curve.time, sp.Rational(2, 5))) for value in gamma]
    np.testing.assert_allclose(found, expected, rtol=AGREEMENT)


def test_hand_results() -> None:
    invariant, mixed = geometry(HADAMARD, "invariant").geodesic(), geometry(HADAMARD, "mixed").geodesic()
    u_0, xi_u, t = invariant.initial[u], invariant.velocity[u], invariant.time
    assert invariant.explicit()[u] == u_0 * sp.exp(xi_u / u_0 * t)
    (b,) = mixed.rates
    assert mixed.closed_form == {x: mixed.initial[x] * sp.sqrt(1 + 2 * b * t) for x in (u, v)}
    assert mixed.rates[b] == xi_u / u_0
    deep = geometry(MODELS["depth_3"], "mixed").geodesic()
    (b,) = deep.rates
    third = sp.Rational(1, 3)
    assert deep.closed_form == {x: deep.initial[x] * (1 + 3 * b * t) ** third for x in deep.initial}


def test_the_horizontal_form_is_wrong_for_other_velocities() -> None:
    g = geometry(HADAMARD, "mixed")
    curve = g.geodesic()
    point, xi = start_values(g, horizontal=False)
    known = values(curve, point, xi)
    claimed = [float(curve.explicit()[x].xreplace(known).subs(curve.time, 0.4)) for x in g.coordinates]
    assert np.max(np.abs(integrate(g, point, xi, end=0.4) - claimed)) > 0.01


def test_euclidean_geodesics_are_lines() -> None:
    curve = geometry(SQUARED, "euclidean").geodesic()
    assert curve.kind == "all"
    assert curve.closed_form == {x: curve.initial[x] + curve.velocity[x] * curve.time for x in (u, v)}
    assert curve.taylor(3) == curve.closed_form


def test_quadrature_without_a_power_law() -> None:
    g = geometry(ElementwiseModel((u,), sp.exp(u)), "pullback")
    curve = g.geodesic()
    u_0, xi, t = curve.initial[u], curve.velocity[u], curve.time
    assert sp.simplify(curve.closed_form[u] - (u_0 + sp.log(1 + xi * t))) == 0


def test_without_weights_the_parameters_may_still_decouple() -> None:
    rotation = ElementwiseModel((u, v), u**2 + v**2, (sp.Matrix([[0, -1], [1, 0]]),))
    curve = geometry(rotation, Metric(sp.diag(sp.exp(2 * u), v**2), (u, v), "product")).geodesic()
    (b,) = curve.rates
    assert curve.kind == "all"
    assert curve.closed_form[v] == curve.initial[v] * sp.sqrt(1 + 2 * b * curve.time)


def test_no_closed_form_says_why() -> None:
    arc = geometry(ElementwiseModel((u,), u + u**3), "pullback").geodesic()
    assert arc.closed_form is None and "no closed inverse" in arc.reason
    coupled = geometry(HADAMARD, Metric(sp.diag(1 + v**2, 1), (u, v), "coupled")).geodesic()
    assert coupled.kind is None and "not invariant" in coupled.reason
    free = geometry(ElementwiseModel((u, v), u * v), "mixed").geodesic()
    assert free.closed_form is None and "dimension 2" in free.reason
    with pytest.raises(DerivationError, match="use taylor"):
        free.explicit()


@models
@quotient_metrics
def test_taylor_error_falls_with_the_order(model: ElementwiseModel, name: str) -> None:
    g = geometry(model, name)
    point, xi = start_values(g, horizontal=False)
    curve = g.geodesic()
    known = values(curve, point, xi)
    for order in (1, 2, 3):
        polynomial = [value.xreplace(known) for value in curve.taylor(order).values()]
        errors = []
        for step in (0.08, 0.04):
            here = np.array([float(value.subs(curve.time, step)) for value in polynomial])
            errors.append(np.max(np.abs(here - integrate(g, point, xi, end=step))))
        # Halving t divides the error by 2^(order+1); the next term shifts the slope by a few tenths at most.
        assert order + 0.6 < np.log2(errors[0] / errors[1]) < order + 1.5


def test_second_order_taylor_is_the_christoffel_form() -> None:
    g = geometry(SQUARED, "mixed")
    curve = g.geodesic()
    back = {start: x for x, start in curve.initial.items()}
    second = [sp.diff(value, curve.time, 2).xreplace(back) for value in curve.taylor(2).values()]
    assert all(sp.cancel(a + b) == 0 for a, b in zip(second, g.christoffel_form(), strict=True))
    with pytest.raises(DerivationError, match="at least 1"):
        curve.taylor(0)
