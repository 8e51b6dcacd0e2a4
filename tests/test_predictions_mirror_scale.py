"""The scale of a leaf during SGD and under weight decay, against simulated steps and integrated flows."""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp
from prediction_cases import CASES, PHI, gradient, names, predictions
from scipy.integrate import solve_ivp

import symtheory as st
from symtheory.predictions.moving_scale import SLOPE, TIME
from symtheory.predictions.prediction import Prediction
from symtheory.predictions.symbols import ALPHA, ETA, LAMBDA, MIRROR

TOLERANCES = {"method": "DOP853", "rtol": 1e-12, "atol": 1e-13}


def function(prediction: Prediction, name: str, *symbols: sp.Symbol) -> object:
    return sp.lambdify(symbols, prediction.formulas[name].results, modules="numpy")


def start(prediction: Prediction, alpha: float) -> np.ndarray:
    entries = prediction.formulas["mirror_start"].results
    return np.array([float(entry.subs(ALPHA, alpha)) for entry in entries.values()])


@pytest.mark.parametrize("case", ["hadamard", "squared_difference", "negative_product"])
def test_the_scale_shrinks_by_the_product_of_the_factors(case: str) -> None:
    """Any sequence of gradients in w, steps large enough to turn signs."""
    prediction = predictions(case)["mirror"]
    symbols = [sp.Symbol(name, real=True) for name in names(case)]
    factor, scale = function(prediction, "mirror_shrinkage", SLOPE, ETA), function(prediction, "mirror_scale", *symbols)
    theta, eta, product = start(prediction, 0.8), 0.3, 1.0
    assert scale(*theta) == pytest.approx(0.8, rel=1e-14)
    for slope in np.random.default_rng(2).normal(size=12) * 2:
        theta = theta - eta * slope * gradient(case, theta)
        product *= factor(slope, eta)
    assert scale(*theta) ** 2 == pytest.approx(0.8**2 * product, rel=1e-12)
    assert abs(product - 1) > 0.1


def test_half_the_difference_of_squares_has_the_published_factor() -> None:
    d = st.dims("d")
    u, v = st.param("u", d), st.param("v", d)
    half = st.Parametrization((u * u - v * v) / 2, name="half").predictions()["mirror"]
    assert half.formulas["mirror_shrinkage"].results == sp.Abs(1 - ETA**2 * SLOPE**2)


@pytest.mark.parametrize("case", [case for case in CASES if "depth" in case or case == "square_times"])
def test_no_law_for_sgd_where_a_step_moves_the_time_as_well(case: str) -> None:
    prediction = predictions(case)["mirror"]
    assert "mirror_shrinkage" not in prediction.formulas
    assert any("no closed law for the scale that SGD ends at" in note for note in prediction.notes)


def second_order(case: str, tau: float, alpha: float) -> float:
    """d²τ/ds² along θ + s∇φ, by differences: τ is the time from w = 0 back along the flow."""
    prediction = predictions(case)["mirror"]
    forward = solve_ivp(lambda t, x: gradient(case, x), (0, tau), start(prediction, alpha), **TOLERANCES).y[:, -1]

    def time(shift: float) -> float:
        reached = lambda t, x: PHI[case](*x)  # noqa: E731
        reached.terminal = True  # type: ignore[attr-defined]
        point = forward + shift * gradient(case, forward)
        back = solve_ivp(lambda t, x: -gradient(case, x), (0, 5), point, events=reached, **TOLERANCES)
        return float(back.t_events[0][0])

    step = 1e-3
    return (time(step) - 2 * time(0.0) + time(-step)) / step**2


def test_the_second_order_of_the_time_vanishes_where_the_law_is_stated_and_only_there() -> None:
    assert abs(second_order("squared_difference", 0.3, 0.7)) < 1e-5
    assert abs(second_order("hadamard", 0.4, 0.9)) < 1e-5
    assert abs(second_order("depth_3", 0.4, 0.9)) > 1e-2  # a thousand times the error of the differences


@pytest.mark.parametrize("case", [*CASES, "mixed_powers"])
def test_weight_decay_keeps_the_flow_at_a_decayed_scale(case: str) -> None:
    """w(t) = w(τ; α e^{−λt}) with τ' = −r + λ(k − 2)τ, for a loss whose slope r in w is given as a function of time."""
    prediction = predictions(case)["mirror"]
    decay, alpha, end = 0.4, 0.9, 1.5
    begin = start(prediction, alpha)
    somewhere = 1.1 + np.arange(len(begin))
    degree = np.log2(PHI[case](*(2 * somewhere)) / PHI[case](*somewhere))

    def field(t: float, state: np.ndarray) -> np.ndarray:
        slope = -0.3 * np.cos(2 * t)
        theta, tau = state[:-1], state[-1]
        return np.append(-slope * gradient(case, theta) - decay * theta, -slope + decay * (degree - 2) * tau)

    reached = solve_ivp(field, (0, end), np.append(begin, 0.0), **TOLERANCES).y[:, -1]
    last = float(function(prediction, "mirror_decayed_scale", ALPHA, LAMBDA, TIME)(alpha, decay, end))
    inverse = function(prediction, "mirror_inverse", MIRROR, ALPHA)
    assert inverse(reached[-1], last) == pytest.approx(PHI[case](*reached[:-1]), rel=1e-9)
    assert inverse(reached[-1], alpha) != pytest.approx(PHI[case](*reached[:-1]), rel=0.05)


@pytest.mark.parametrize("power", [3, 4, 5])
def test_sums_of_powers_flow_without_charges(power: int) -> None:
    d, alpha = st.dims("d"), 0.7
    u, v = st.param("u", d), st.param("v", d)
    prediction = st.Parametrization(u**power - v**power, name="powers").predictions()["mirror"]
    end = float(prediction.formulas["mirror_interval"].results["high"].subs(ALPHA, alpha))
    times = np.linspace(0, 0.8 * end, 6)
    field = lambda t, x: np.array([power * x[0] ** (power - 1), -power * x[1] ** (power - 1)])  # noqa: E731
    theta = solve_ivp(field, (0, times[-1]), [alpha, alpha], t_eval=times, **TOLERANCES).y
    inverse = function(prediction, "mirror_inverse", MIRROR, ALPHA)
    np.testing.assert_allclose(inverse(times, alpha), theta[0] ** power - theta[1] ** power, rtol=1e-9, atol=1e-12)
    slope = function(prediction, "mirror_slope", MIRROR, ALPHA)
    np.testing.assert_allclose(slope(times, alpha), (np.array([field(0, x) for x in theta.T]) ** 2).sum(1), rtol=1e-9)
