"""Stationary density: its moments against real steps, its equation by numbers, its known special cases."""

from __future__ import annotations

from itertools import pairwise

import mpmath
import numpy as np
import pytest
import scipy.stats
import sympy as sp
from prediction_cases import CASES, PHI, declared, gradient, names, predictions
from scipy.integrate import quad
from scipy.optimize import brentq

import symtheory as st
from symtheory.errors import DerivationError
from symtheory.predictions.fibre_minimum import POSITIVE, fibre_minimum
from symtheory.predictions.stationary_density import TEMPERATURE, limiting_moments
from symtheory.predictions.symbols import ETA, PREDICTOR, SIGMA, TARGET

T, Y = 0.3, 1.1
"""ησ² and the target of most tests."""

VALUES = {ETA: sp.Rational(3, 10), SIGMA: 1, TARGET: sp.Rational(11, 10)}
GAMMA = [case for case in CASES if len(predictions(case)["stationary_density"].relations) == 3]


def one_step(case: str, theta: np.ndarray, eta: float, target: float = Y) -> tuple[np.ndarray, np.ndarray]:
    """Gauss–Hermite nodes' weights, and θ' at each node, for label noise σ = √(T/η); exact for these polynomials."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(24)
    residual = PHI[case](*theta) - target - np.sqrt(T / eta) * nodes
    return weights / weights.sum(), theta[:, None] - eta * residual * gradient(case, theta)[:, None]


def moments(case: str, theta: np.ndarray, eta: float) -> np.ndarray:
    weights, moved = one_step(case, theta, eta)
    change = PHI[case](*moved) - PHI[case](*theta)
    return np.array([weights @ change, weights @ change**2]) / eta


def limits(case: str, theta: np.ndarray) -> np.ndarray:
    """Moments at η → 0 by Richardson extrapolation over halved steps."""
    table = [moments(case, theta, 1e-3 / 2**level) for level in range(5)]
    for order in range(1, 5):
        table = [(2**order * fine - coarse) / (2**order - 1) for coarse, fine in pairwise(table)]
    return table[0]


def balanced(case: str, w: float) -> np.ndarray:
    model = declared(case).model
    minimum = fibre_minimum(model, sp.Add(*(symbol**2 for symbol in model.coordinates)))
    return np.array([float(minimum.point[sp.Symbol(name, real=True)].subs(POSITIVE, w)) for name in names(case)])


@pytest.mark.parametrize("case", CASES)
def test_limiting_moments_are_those_of_one_step(case: str) -> None:
    symbols = [sp.Symbol(name, real=True) for name in names(case)]
    derived = sp.lambdify([*symbols, TARGET, TEMPERATURE], limiting_moments(declared(case).model))
    for theta in np.random.default_rng(2).normal(size=(4, len(symbols))):
        np.testing.assert_allclose(derived(*theta, Y, T), limits(case, theta), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_balanced_gauge_is_where_noise_leaves_and_attracts_the_charges(case: str) -> None:
    symbols = [sp.Symbol(name, real=True) for name in names(case)]
    charges = [sp.lambdify(symbols, charge) for charge in declared(case).conserved().values()]
    theta = balanced(case, 0.9)
    weights, moved = one_step(case, theta, 0.01)
    for charge in charges:
        assert charge(*theta) == pytest.approx(0, abs=1e-14)
        assert weights @ charge(*moved) == pytest.approx(0, abs=1e-14)
    nearby = theta * np.linspace(1.05, 0.95, len(theta)) + 0.01
    weights, moved = one_step(case, nearby, 0.01)
    before = sum(charge(*nearby) ** 2 for charge in charges)
    after = sum((weights @ charge(*moved)) ** 2 for charge in charges)
    assert 0 < after < before


@pytest.mark.parametrize("case", CASES)
def test_drift_and_diffusion_of_w_are_the_moments_at_the_balanced_point(case: str) -> None:
    formulas = predictions(case)["stationary_density"].formulas
    for w in (0.4, 1.0, 2.3):
        derived = [
            float(formulas[f"stationary_density_{name}"].results.subs(VALUES).subs(PREDICTOR, w))
            for name in ("drift", "diffusion")
        ]
        np.testing.assert_allclose(derived, limits(case, balanced(case, w)), rtol=1e-7)


@pytest.mark.parametrize("case", CASES)
def test_density_carries_no_flux_and_solves_fokker_planck(case: str) -> None:
    """With moments of real steps as oracle: a p = ½(b p)', and −(a p)' + ½(b p)'' = 0 by finite differences."""
    log_density = sp.lambdify(
        PREDICTOR, predictions(case)["stationary_density"].formulas["stationary_density"].results.subs(VALUES)
    )
    step = 1e-3
    for w in (0.5, 1.0, 1.6):
        grid = w + step * np.arange(-2, 3)
        density = np.exp([log_density(x) - log_density(w) for x in grid])
        drift, diffusion = np.array([limits(case, balanced(case, x)) for x in grid]).T
        spread = diffusion * density
        slope = (8 * (spread[3] - spread[1]) - (spread[4] - spread[0])) / (12 * step)
        assert drift[2] * density[2] == pytest.approx(slope / 2, abs=1e-6)
        current = drift * density
        change = (current[3] - current[1]) / (2 * step)
        curvature = (spread[3] - 2 * spread[2] + spread[1]) / step**2
        assert change == pytest.approx(curvature / 2, abs=2e-3 * (1 + abs(change)))


@pytest.mark.parametrize("case", GAMMA)
def test_normalisation_mean_and_variance_by_quadrature(case: str) -> None:
    density, mean, variance = (
        relation.rhs.subs(VALUES) for relation in predictions(case)["stationary_density"].relations
    )
    function = sp.lambdify(PREDICTOR, density, modules="mpmath")
    ends = [0, 0.5, 1, 2, 4, 8, mpmath.inf]
    zeroth, first, second = (mpmath.quad(lambda w, k=k: w**k * function(w), ends) for k in range(3))
    assert float(zeroth) == pytest.approx(1, rel=1e-8)
    assert float(first) == pytest.approx(float(mean), rel=1e-8)
    assert float(second - first**2) == pytest.approx(float(variance), rel=1e-7)


@pytest.mark.parametrize("case", [case for case in CASES if case not in GAMMA])
def test_other_densities_are_normalisable_where_the_assumption_says(case: str) -> None:
    prediction = predictions(case)["stationary_density"]
    assert any("y > 0" in str(assumption) for assumption in prediction.assumptions)
    log_density = prediction.formulas["stationary_density"].results
    density = sp.lambdify(PREDICTOR, sp.exp(log_density.subs(VALUES)))
    total = quad(density, 0, 3)[0] + quad(density, 3, np.inf)[0]
    assert 0 < total < np.inf
    assert sp.limit(sp.exp(log_density.subs(VALUES)).subs(PREDICTOR, POSITIVE), POSITIVE, 0) == 0
    assert sp.limit(log_density.subs({**VALUES, TARGET: -1}).subs(PREDICTOR, POSITIVE), POSITIVE, 0) == sp.oo


def test_product_has_the_gamma_density() -> None:
    """w = uv: shape y/(ησ²) − ½, scale ησ², mean y − ησ²/2; and −uv, the same predictor, has the same law."""
    law = scipy.stats.gamma(a=Y / T - 0.5, scale=T)
    for case in ("hadamard", "negative_product"):
        density, mean, variance = (r.rhs.subs(VALUES) for r in predictions(case)["stationary_density"].relations)
        for w in (0.2, 0.9, 2.5):
            assert float(density.subs(PREDICTOR, w)) == pytest.approx(law.pdf(w), rel=1e-12)
        assert float(mean) == pytest.approx(Y - T / 2, rel=1e-14)
        assert float(variance) == pytest.approx(law.var(), rel=1e-12)


def test_simulated_replicas_follow_the_product_density() -> None:
    """20,000 replicas at η = 0.02; mean and variance within 4 standard errors plus the O(η) of the statement."""
    generator = np.random.default_rng(7)
    eta, sigma, replicas = 0.02, 1.0, 20_000
    u = v = np.ones(replicas)
    for _ in range(600):
        residual = u * v - 1 - sigma * generator.normal(size=replicas)
        u, v = u - eta * residual * v, v - eta * residual * u
    _, mean, variance = (
        float(r.rhs.subs({ETA: eta, SIGMA: sigma, TARGET: 1})) if index else 0.0
        for index, r in enumerate(predictions("hadamard")["stationary_density"].relations)
    )
    w = u * v
    assert abs(w.mean() - mean) < 4 * np.sqrt(variance / replicas) + 2 * eta**2
    assert abs(w.var() - variance) < 4 * variance * np.sqrt(2 / replicas) + 4 * eta * variance
    assert abs(w.mean() - 1) > 4 * np.sqrt(variance / replicas)  # the shift of the mean is resolved


def test_condition_for_the_gamma_density_is_stated() -> None:
    texts = [assumption.text for assumption in predictions("hadamard")["stationary_density"].assumptions]
    (condition,) = [text.split(" > 0")[0] for text in texts if "no stationary density" in text]
    shape = sp.sympify(condition.replace("lambda", "lam"), locals={"eta": ETA, "sigma": SIGMA, "y": TARGET})
    bound = brentq(lambda y: float(shape.subs({ETA: 0.3, SIGMA: 1, TARGET: y})), 0, 1)
    assert bound == pytest.approx(T / 2, rel=1e-12)


def test_predictor_that_crosses_zero_is_refused() -> None:
    with pytest.raises(DerivationError, match="changes sign"):
        st.Parametrization(-st.param("u", 3), name="linear").predictions()["stationary_density"]
