"""What becomes of charges under weight decay and momentum, along integrated flows of generated gradients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import sympy as sp
import torch
from group_cases import declared, inputs, point
from scipy.integrate import solve_ivp

import symtheory as st
from symtheory.errors import DeclarationError
from symtheory.symmetry.charge import DECAY, FRICTION, TIME

# DOP853 at a relative tolerance of 1e-11 over one unit of time.
FLOW = 1e-7
DECAY_RATE, FRICTION_RATE = 0.3, 0.7


def _gradient(name: str) -> tuple[Callable[[np.ndarray], np.ndarray], dict[str, np.ndarray]]:
    """∇L of L = ½ ‖φ − target‖² as a function of the flattened parameters, and the start."""
    model, start = st.generate(declared(name)).load(), point(name)
    data = {key: torch.from_numpy(value) for key, value in inputs(name).items()}
    rng = torch.Generator().manual_seed(3)
    shape = model.predictor({k: torch.from_numpy(v) for k, v in start.items()}, **data).shape
    target = torch.randn(shape, generator=rng, dtype=torch.float64)

    def loss(vector: torch.Tensor) -> torch.Tensor:
        return ((model.predictor(_unflatten(vector, start), **data) - target) ** 2).sum() / 2

    return lambda vector: torch.func.grad(loss)(torch.from_numpy(vector)).numpy(), start


def _unflatten(vector, like: dict[str, np.ndarray]) -> dict:
    parts, place = {}, 0
    for key, value in like.items():
        parts[key] = vector[place : place + value.size].reshape(value.shape)
        place += value.size
    return parts


def _flatten(values: dict[str, np.ndarray]) -> np.ndarray:
    return np.concatenate([value.ravel() for value in values.values()])


def _charges(name: str, theta: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {k: v for factor in declared(name).symmetries() for k, v in factor.charge_values(theta).items()}


FLOWS = ["product", "difference", "low_rank", "relu", "affine_layers", "classifier", "two_biases", "heads_as_axis"]


@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.parametrize("rate", [0.0, DECAY_RATE])
def test_charges_along_gradient_flow_with_weight_decay(name: str, rate: float) -> None:
    gradient, start = _gradient(name)
    flow = solve_ivp(lambda _, x: -gradient(x) - rate * x, (0, 1), _flatten(start), "DOP853", rtol=1e-11, atol=1e-12)
    end = _unflatten(flow.y[:, -1], start)
    assert np.abs(_flatten(end) - _flatten(start)).max() > 0.01
    before, after = _charges(name, start), _charges(name, end)
    degrees = {charge.name: charge.degree for charge in declared(name).charges()}
    assert degrees.keys() == before.keys()
    assert before
    for key, charge in before.items():
        np.testing.assert_allclose(after[key] * np.exp(degrees[key] * rate), charge, rtol=FLOW, atol=FLOW)


def test_degrees_and_statements() -> None:
    (quadratic,) = declared("low_rank").charges()
    G, H = sp.MatrixSymbol("G", 4, 2), sp.MatrixSymbol("H", 3, 2)
    assert (quadratic.name, quadratic.degree) == ("GL", 2)
    assert quadratic.under_weight_decay == sp.exp(2 * DECAY * TIME) * (G.T * G - H.T * H)
    assert declared("classifier").conserved("weight_decay")["translation2"].args[0] == sp.exp(DECAY * TIME)
    assert quadratic.under_momentum.rhs != 0
    assert declared("classifier").charges()[0].under_momentum.rhs == 0
    with pytest.raises(DeclarationError, match="dynamics 'adam' are unknown: choose gradient_flow, weight_decay or"):
        declared("low_rank").conserved("adam")


def _momentum_flow(name: str) -> tuple[dict, dict, dict, dict]:
    gradient, start = _gradient(name)
    size = len(_flatten(start))
    velocity = np.random.default_rng(7).standard_normal(size)

    def flow(_: float, z: np.ndarray) -> np.ndarray:
        return np.concatenate([z[size:], -FRICTION_RATE * z[size:] - gradient(z[:size])])

    state = solve_ivp(flow, (0, 1), np.append(_flatten(start), velocity), "DOP853", rtol=1e-11, atol=1e-12).y[:, -1]
    return start, _unflatten(velocity, start), _unflatten(state[:size], start), _unflatten(state[size:], start)


def _evaluated(expression, theta: dict, velocity: dict, time: float) -> np.ndarray:
    names = {
        symbol: sp.ImmutableMatrix(np.atleast_2d(value.reshape(symbol.shape)))
        for symbol in expression.atoms(sp.MatrixSymbol)
        for value in (velocity[symbol.name[2:]] if symbol.name.startswith("v_") else theta[symbol.name],)
    }
    value = expression.subs({TIME: time, FRICTION: FRICTION_RATE}).subs(names).doit()
    return np.array(sp.Matrix(value).tolist(), dtype=np.float64)


@pytest.mark.parametrize(
    ("name", "count"), [("low_rank", 1), ("gram", 1), ("classifier", 4), ("affine_layers", 1), ("rms_norm", 1)]
)
def test_what_momentum_keeps(name: str, count: int) -> None:
    kept = declared(name).conserved("momentum")
    assert len(kept) == count
    theta, velocity, theta_end, velocity_end = _momentum_flow(name)
    for key, expression in kept.items():
        before, after = (
            _evaluated(expression, theta, velocity, 0.0),
            _evaluated(expression, theta_end, velocity_end, 1.0),
        )
        assert np.abs(before).max() > 1e-2, key
        np.testing.assert_allclose(after, before, rtol=FLOW, atol=FLOW, err_msg=key)


def test_rotations_that_fix_the_ones_vector_keep_a_projected_momentum() -> None:
    kept = declared("layer_norm").conserved("momentum")["O_fixing_ones"]
    theta, velocity, theta_end, velocity_end = _momentum_flow("layer_norm")
    before, after = _evaluated(kept, theta, velocity, 0.0), _evaluated(kept, theta_end, velocity_end, 1.0)
    np.testing.assert_allclose(after, before, rtol=FLOW, atol=FLOW)
    np.testing.assert_allclose(before @ np.ones(4), 0, atol=1e-12)


def test_momentum_keeps_no_quadratic_charge() -> None:
    assert declared("relu").conserved("momentum") == {}
    start, _, end, _ = _momentum_flow("low_rank")
    before, after = _charges("low_rank", start)["GL"], _charges("low_rank", end)["GL"]
    assert np.abs(after - before).max() > 1e-2
