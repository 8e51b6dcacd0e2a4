"""Mirror flow against numerically integrated flows: of ∇φ along a leaf, and of a regression to its end."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest
import sympy as sp
from prediction_cases import CASES, PHI, declared, gradient, names, predictions
from scipy.integrate import solve_ivp
from scipy.optimize import minimize, root

from symtheory.predictions.leaf import leaf_flow
from symtheory.predictions.symbols import ALPHA, MIRROR, PREDICTOR

INTEGRATOR = 1e-9
"""Relative error of solve_ivp at the tolerances below."""

EXPLICIT = [case for case in CASES if "mirror_potential" in predictions(case)["mirror"].formulas]
TOLERANCES: dict[str, Any] = {"method": "DOP853", "rtol": 1e-12, "atol": 1e-13}


def formula(case: str, name: str, symbol: sp.Symbol, alpha: float) -> Any:
    """A formula of the mirror prediction as a NumPy function of τ or w."""
    expression = predictions(case)["mirror"].formulas[name].results.subs(ALPHA, alpha)
    function = sp.lambdify(symbol, expression, modules="numpy")
    return lambda x: function(x) + 0 * x


def start(case: str, alpha: float) -> np.ndarray:
    results = predictions(case)["mirror"].formulas["mirror_start"].results
    return np.array([float(results[name].subs(ALPHA, alpha)) for name in names(case)])


def times(case: str, alpha: float) -> np.ndarray:
    """Values of τ on both sides, inside the interval that τ runs over."""
    model, charges = declared(case).model, list(declared(case).conserved().values())
    end = float(min(leaf_flow(model, charges).interval.end.subs(ALPHA, alpha), 1))
    return np.linspace(-0.8 * end, 0.8 * end, 9)


def flow(case: str, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """τ and θ(τ), integrated with derivatives by complex steps."""
    tau = times(case, alpha)
    field = lambda t, theta: gradient(case, theta)  # noqa: E731 - the signature solve_ivp asks for
    halves = []
    for part in (tau[tau < 0][::-1], tau[tau > 0]):
        solution = solve_ivp(field, (0, part[-1]), start(case, alpha), t_eval=part, **TOLERANCES)
        halves.append(solution.y)
    theta = np.concatenate([halves[0][:, ::-1], start(case, alpha)[:, None], halves[1]], axis=1)
    return tau, theta


@pytest.mark.parametrize("alpha", [0.7, 1.6])
@pytest.mark.parametrize("case", list(PHI))
def test_flow_on_the_leaf(case: str, alpha: float) -> None:
    tau, theta = flow(case, alpha)
    weights = PHI[case](*theta)
    assert weights[len(tau) // 2] == 0
    np.testing.assert_allclose(
        formula(case, "mirror_inverse", MIRROR, alpha)(tau), weights, rtol=INTEGRATOR, atol=1e-10
    )
    slope = (gradient(case, theta) ** 2).sum(0)
    np.testing.assert_allclose(formula(case, "mirror_slope", MIRROR, alpha)(tau), slope, rtol=INTEGRATOR)


@pytest.mark.parametrize("case", CASES)
def test_point_on_the_leaf_and_constant_charges(case: str) -> None:
    tau, theta = flow(case, 1.3)
    charges = list(declared(case).conserved().values())
    derived = leaf_flow(declared(case).model, charges)
    symbols = [sp.Symbol(name, real=True) for name in names(case)]
    for symbol, values in zip(symbols, theta, strict=True):
        position = sp.lambdify(MIRROR, derived.point[symbol].subs(ALPHA, 1.3))(tau) + 0 * tau
        np.testing.assert_allclose(position, values, rtol=INTEGRATOR, atol=1e-10)
    for charge in charges:
        along = sp.lambdify(symbols, charge)(*theta)
        np.testing.assert_allclose(along, along[len(tau) // 2], rtol=0, atol=1e-9)


@pytest.mark.parametrize("case", ["hadamard", "depth_4"])
def test_interval_ends_where_the_flow_escapes(case: str) -> None:
    interval = leaf_flow(declared(case).model, list(declared(case).conserved().values())).interval
    if interval.end == sp.oo:
        assert case == "hadamard"
        return
    end = float(interval.end.subs(ALPHA, 1))
    near = solve_ivp(lambda t, x: gradient(case, x), (0, (1 - 1e-4) * end), start(case, 1.0), **TOLERANCES)
    assert PHI[case](*near.y[:, -1]) > 1e6


@pytest.mark.parametrize("case", EXPLICIT)
def test_potential(case: str) -> None:
    """Q' inverts w(τ), Q is its integral from 0, and Q'' = 1/JJᵀ with J taken along the integrated flow."""
    alpha = 0.9
    tau, theta = flow(case, alpha)
    weights = PHI[case](*theta)
    np.testing.assert_allclose(formula(case, "mirror", PREDICTOR, alpha)(weights), tau, atol=1e-9)
    formulas = predictions(case)["mirror"].formulas
    mirror_map = sp.lambdify(PREDICTOR, formulas["mirror"].results.subs(ALPHA, alpha), modules="mpmath")
    potential = sp.lambdify(PREDICTOR, formulas["mirror_potential"].results.subs(ALPHA, alpha), modules="mpmath")
    for w, jacobian in zip(weights, gradient(case, theta).T, strict=True):
        assert float(mpmath.diff(mirror_map, float(w))) == pytest.approx(1 / float(jacobian @ jacobian), rel=1e-8)
        assert float(potential(float(w))) == pytest.approx(float(mpmath.quad(mirror_map, [0, float(w)])), abs=1e-12)


def regression() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(3)
    features = generator.normal(size=(3, 6)) / np.sqrt(6)
    return features, features @ np.array([0.9, 0, -0.4, 0, 0, 0.2])


def gradient_flow_end(case: str, alpha: float) -> np.ndarray:
    """w where gradient flow of ½‖Xw − y‖² comes to rest."""
    features, targets = regression()
    shape = (len(names(case)), 6)

    def field(time: float, flat: np.ndarray) -> np.ndarray:
        theta = flat.reshape(shape)
        residual = features @ PHI[case](*theta) - targets
        return (-gradient(case, theta) * (features.T @ residual)).ravel()

    begin = np.repeat(start(case, alpha)[:, None], 6, axis=1).ravel()
    end = solve_ivp(field, (0, 5000), begin, method="LSODA", rtol=1e-10, atol=1e-12).y[:, -1].reshape(shape)
    weights = PHI[case](*end)
    assert np.abs(features @ weights - targets).max() < 1e-8
    return weights


@pytest.mark.parametrize("alpha", [0.5, 0.8])
@pytest.mark.parametrize("case", CASES)
def test_gradient_flow_ends_at_the_kkt_point(case: str, alpha: float) -> None:
    """The minimiser solves w_j = w(τ_j), τ = Xᵀν, Xw = y for multipliers ν, which scipy finds."""
    features, targets = regression()
    inverse = formula(case, "mirror_inverse", MIRROR, alpha)
    multipliers = np.zeros(3)
    for share in np.linspace(0.05, 1, 20):  # from easy targets to the real ones, so that τ stays in its interval
        found = root(lambda nu, y=share * targets: features @ inverse(features.T @ nu) - y, multipliers, tol=1e-12)
        multipliers = found.x
    assert found.success
    weights = gradient_flow_end(case, alpha)
    np.testing.assert_allclose(weights, inverse(features.T @ multipliers), atol=1e-6)
    least_squares = np.linalg.pinv(features) @ targets
    assert np.abs(weights - least_squares).max() > 1e-4  # the bias is not that of the plain linear model


@pytest.mark.parametrize("case", EXPLICIT)
def test_gradient_flow_minimises_the_potential(case: str) -> None:
    features, targets = regression()
    potential, slope = (formula(case, name, PREDICTOR, 0.8) for name in ("mirror_potential", "mirror"))
    found = minimize(
        lambda w: potential(w).sum(),
        np.linalg.pinv(features) @ targets,
        jac=slope,
        constraints={"type": "eq", "fun": lambda w: features @ w - targets, "jac": lambda w: features},
        method="SLSQP",
        options={"ftol": 1e-15, "maxiter": 500},
    )
    np.testing.assert_allclose(gradient_flow_end(case, 0.8), found.x, atol=1e-5)
