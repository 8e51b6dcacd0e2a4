"""Noise equilibrium: closed forms by Monte Carlo, functions of given gradients by brute force."""

from __future__ import annotations

import math
from functools import cache
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import sympy as sp
import torch
from numeric_oracles import flat_gradients, label_noise_drift
from scipy.optimize import minimize
from torch import Tensor

import symtheory as st
from symtheory import catalog
from symtheory.errors import DerivationError
from symtheory.predictions.noise_equilibrium_normal import DEVIATION, TILT, TRACE, gaussian_moments

MECHANISM = "noise_equilibrium"


@cache
def softmax_attention() -> st.Parametrization:
    """One head without biases: every solution is one orbit."""
    X = st.input("X", 3, 3)
    Wq, Wk = st.param("Wq", 3, 2), st.param("Wk", 3, 2)
    Wv = st.param("Wv", 3, 2)
    return st.Parametrization(st.softmax(X @ Wq @ (X @ Wk).T) @ (X @ Wv), name="softmax_attention")


def bound(name: str) -> st.Parametrization:
    sizes = {
        "low_rank": {"n": 4, "m": 3, "h": 2},
        "shallow_relu": {"d": 3, "h": 3, "k": 2},
        "monomial": {"d": 3, "h": 2, "k": 1},
        "depth_product": {"d": 2},
        "squared_difference": {"d": 2},
        "attention": {"n": 3, "d": 3, "h": 2},
        "multihead_attention": {"n": 3, "d": 4, "heads": 2, "h": 2},
        "deep_linear": {"d": 3, "h1": 2, "h2": 2, "k": 3},
        "linear_attention": {"n": 3, "d": 3, "h": 2},
        "state_space": {"d": 3, "h": 2, "k": 3},
    }
    return softmax_attention() if name == "softmax_attention" else catalog.load(name).bind(**sizes[name])


@cache
def case(name: str, samples: int = 40) -> SimpleNamespace:
    """A point, normal inputs, and the label noise gradients: one for each sample and output."""
    P = bound(name)
    generator = torch.Generator().manual_seed(5)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    point = {key: normal(*map(int, shape)) for key, shape in P.parameters.items()}
    inputs = {key: normal(samples, *map(int, shape)) for key, shape in P.inputs.items()}
    module, functions = st.generate(P).load(), P.predictions()[MECHANISM].load()

    def gradients(at: dict[str, Tensor]) -> dict[str, Tensor]:
        return flat_gradients(module, at, inputs)

    return SimpleNamespace(P=P, point=point, module=module, functions=functions, gradients=gradients, inputs=inputs)


def trace(gradients: dict[str, Tensor]) -> float:
    """Trace of the gradient's second moment."""
    return float(sum(leaf.flatten(1).square().sum(1).mean() for leaf in gradients.values()))


GRAPHS = ["low_rank", "shallow_relu", "softmax_attention", "depth_product"]


@pytest.mark.parametrize(
    "name", ["low_rank", "deep_linear", "shallow_relu", "attention", "multihead_attention", "hadamard", "state_space"]
)
def test_entries_of_the_catalog_are_derived_at_symbolic_size(name: str) -> None:
    prediction = catalog.load(name).predictions()[MECHANISM]
    assert not prediction.statement.has(sp.Integral, sp.nan, sp.zoo)
    assert "noise" in str(prediction) and prediction.latex()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("tied_product", "antisymmetric"),
        ("tanh_net", "antisymmetric"),
        ("softmax_classifier", "linear"),
        ("rms_norm", "only increases"),
    ],
)
def test_groups_without_an_indefinite_generator_say_why(name: str, reason: str) -> None:
    with pytest.raises(DerivationError, match=reason):
        catalog.load(name).predictions()[MECHANISM]


def test_balance_of_a_product_in_the_slope_of_the_loss() -> None:
    statement = catalog.load("low_rank").predictions()[MECHANISM].statement
    eta, sigma = sp.Symbol("eta", positive=True), sp.Symbol("sigma", positive=True)
    assert str(statement[0].rhs) == "eta**2*(-G.T*S_G*G + H.T*S_H*H)"
    assert (str(statement[1].lhs), str(statement[1].rhs)) == ("n*H.T*H", "m*G.T*G")
    p_i, p_j = sp.symbols("p_i p_j", positive=True)
    n, m = (next(symbol for symbol in statement[2].free_symbols if str(symbol) == name) for name in "nm")
    assert sp.simplify(statement[2].rhs.subs(p_j, p_i) - 2 * n * m / (n + m) * eta**2 * sigma**2) == 0


def test_slope_form_of_the_balance_is_the_charge_of_the_gradients() -> None:
    """Hᵀ E[EᵀE] H − Gᵀ E[E Eᵀ] G with E drawn, against g by automatic differentiation through W = G Hᵀ."""
    generator = torch.Generator().manual_seed(2)
    G, H = (torch.randn(rows, 2, generator=generator, dtype=torch.float64).requires_grad_() for rows in (4, 3))
    slopes = torch.randn(20, 4, 3, generator=generator, dtype=torch.float64)
    charge = torch.zeros(2, 2, dtype=torch.float64)
    for slope in slopes:
        g_G, g_H = torch.autograd.grad((slope * (G @ H.T)).sum(), (G, H))
        charge += (g_G.T @ g_G - g_H.T @ g_H) / len(slopes)
    by_slope = H.T @ (slopes.mT @ slopes).mean(0) @ H - G.T @ (slopes @ slopes.mT).mean(0) @ G
    torch.testing.assert_close(by_slope, charge)


@pytest.mark.parametrize("activation", ["relu", "leaky", "cube", "identity"])
@pytest.mark.parametrize("covariance", ["identity", "given"])
def test_gaussian_moments_against_sampling(activation: str, covariance: str) -> None:
    z = sp.Symbol("z", real=True)
    expressions = {"relu": sp.Max(z, 0), "leaky": sp.Max(z, z / 5), "cube": z**3, "identity": z}
    rng = np.random.default_rng(4)
    root = np.eye(3) if covariance == "identity" else rng.normal(size=(3, 3))
    sigma, w = root @ root.T, np.array([0.7, -0.4, 0.5])
    found = gaussian_moments(expressions[activation], z)
    assert found is not None
    values = {
        DEVIATION: math.sqrt(w @ sigma @ w),
        TILT: float((sigma @ w) @ (sigma @ w)),
        TRACE: float(np.trace(sigma)),
    }
    x = rng.normal(size=(400_000, 3)) @ root.T
    at = x @ w
    value = sp.lambdify(z, expressions[activation])(at) if activation != "leaky" else np.where(at > 0, at, at / 5)
    slope = {"relu": at > 0, "leaky": np.where(at > 0, 1, 0.2), "cube": 3 * at**2, "identity": np.ones_like(at)}
    samples = (value**2, slope[activation] ** 2.0 * (x**2).sum(1))
    for expected, drawn in zip(found, samples, strict=True):
        error = drawn.std() / math.sqrt(len(drawn))
        assert abs(float(expected.subs(values)) - drawn.mean()) < 4 * error


def test_a_relu_net_with_standard_normal_inputs_settles_at_the_root_of_outputs_over_inputs() -> None:
    statement = catalog.load("shallow_relu").predictions()[MECHANISM].statement
    d, k = (sp.Symbol(str(symbol), **symbol.assumptions0) for symbol in st.dims("d k"))
    assert sp.simplify(statement[2].rhs - sp.sqrt(k / d)) == 0
    eta, sigma = sp.Symbol("eta", positive=True), sp.Symbol("sigma", positive=True)
    assert sp.simplify(statement[3].rhs - eta**2 * sigma**2 * k * d / (k + d)) == 0


def test_closed_form_of_a_layer_agrees_with_its_given_gradients() -> None:
    made = case("shallow_relu", 4_000)
    functions = made.functions
    eq = functions.noise_equilibrium(made.point, made.gradients(made.point))
    covariance = made.inputs["x"].mT @ made.inputs["x"] / 4_000
    units = functions.noise_equilibrium_normal_units(eq, covariance)
    measured = units.pop("measured")
    torch.testing.assert_close(measured, functions.noise_equilibrium_normal_ratio(**units), rtol=0.06, atol=0)
    # mean over rows: two outputs are two rows of each sample
    rates = functions.noise_equilibrium_rates(eq, made.gradients(eq), 1.0, 0.0) * 2
    closed = functions.noise_equilibrium_normal_rate(**units, eta=1.0, sigma=1.0)
    torch.testing.assert_close(rates.sort().values, closed.sort().values, rtol=0.1, atol=0)


@pytest.mark.parametrize("name", GRAPHS)
def test_the_equilibrium_is_the_least_noise_on_the_orbit(name: str) -> None:
    """Against a direct minimisation over the group, by its action on arrays and automatic differentiation."""
    made = case(name)
    factors = [factor for factor in made.P.symmetries() if factor.has_charge and factor.kind in ("GL", "rescaling")]
    sizes = [factor.identity().size for factor in factors]

    def noise(flat: np.ndarray) -> float:
        point = {key: leaf.numpy() for key, leaf in made.point.items()}
        for factor, part in zip(factors, np.split(flat, np.cumsum(sizes)[:-1]), strict=True):
            point = factor.act(factor.exponential(part.reshape(factor.identity().shape)), point)
        return trace(made.gradients({key: torch.as_tensor(leaf) for key, leaf in point.items()}))

    found = minimize(noise, np.zeros(sum(sizes)), method="BFGS", options={"gtol": 1e-6})
    eq = made.functions.noise_equilibrium(made.point, made.gradients(made.point))
    assert trace(made.gradients(eq)) == pytest.approx(found.fun, rel=1e-6)
    before, after = (
        made.functions.noise_equilibrium_drift(at, made.gradients(at), 1.0, 0.0) for at in (made.point, eq)
    )
    assert float(after.abs().max()) < 1e-9 * float(before.abs().max())
    predicted = [
        made.module.predictor({k: v.unsqueeze(0) for k, v in at.items()}, **made.inputs) for at in (made.point, eq)
    ]
    torch.testing.assert_close(*predicted, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", ["low_rank", "shallow_relu", "depth_product"])
def test_equilibrium_with_weight_decay_balances_noise_against_it(name: str) -> None:
    made = case(name)
    eq = made.functions.noise_equilibrium(made.point, made.gradients(made.point), 0.1, 0.3)
    drift = made.functions.noise_equilibrium_drift(eq, made.gradients(eq), 0.1, 0.3)
    charge = made.functions.noise_equilibrium_charges(made.point)
    assert float(drift.abs().max()) < 1e-10 * float(charge.abs().max())


@pytest.mark.parametrize(
    "name",
    [
        "low_rank",
        "shallow_relu",
        "softmax_attention",
        "depth_product",
        "squared_difference",
        "attention",
        "deep_linear",
        "multihead_attention",
    ],
)
def test_velocity_along_the_orbit_is_the_drift_of_label_noise(name: str) -> None:
    """−¼ of the gradient of E‖∇φ‖², projected on the kernel of the Jacobian: no group in it (Li et al. 2110.06914)."""
    made = case(name)
    functions, gradients = made.functions, made.gradients(made.point)
    t = functions.noise_equilibrium_velocity(made.point, gradients, 1.0, 0.0)
    moved = functions.noise_equilibrium_fields(made.point) * t.unsqueeze(-1)
    outputs = math.prod(map(int, made.P.predictor.shape))
    order = functions.noise_equilibrium_vector(made.point)
    expected = label_noise_drift(made.module, made.point, made.inputs)
    expected_vector = functions.noise_equilibrium_vector(expected) / outputs  # a mean over outputs here, a sum there
    assert order.shape == expected_vector.shape
    torch.testing.assert_close(moved.sum(-2), expected_vector, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("decay", [0.0, 0.4])
@pytest.mark.parametrize("name", ["low_rank", "shallow_relu", "softmax_attention", "depth_product", "deep_linear"])
def test_rates_are_the_linearised_velocity(name: str, decay: float) -> None:
    made = case(name)
    functions, eta = made.functions, 0.5
    eq = functions.noise_equilibrium(made.point, made.gradients(made.point), eta, decay)
    signs = functions.noise_equilibrium_signs(eq)
    kept, step = (signs <= 0).nonzero().squeeze(-1), 1e-5
    columns = []
    for place in kept.tolist():
        t = torch.zeros_like(functions.noise_equilibrium_velocity(eq, made.gradients(eq), eta, decay))
        t[..., place] = step
        ends = (functions.noise_equilibrium_move(eq, sign * t) for sign in (1, -1))
        up, down = (functions.noise_equilibrium_velocity(at, made.gradients(at), eta, decay) for at in ends)
        columns.append(-(up - down)[..., kept] / (2 * step))
    expected = torch.linalg.eigvals(torch.stack(columns, -1)).real.sort(-1).values
    found = functions.noise_equilibrium_rates(eq, made.gradients(eq), eta, decay)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)


def test_shifts_that_biases_make_up_for_centre_what_the_next_layer_reads() -> None:
    """Without activations the noise weighs all samples alike: W1 x + b1 and W2 (W1 x + b1) + b2 have mean zero."""
    made = case("deep_linear")
    eq = made.functions.noise_equilibrium(made.point, made.gradients(made.point))
    first = eq["W1"] @ made.inputs["x"].mean(0) + eq["b1"]
    torch.testing.assert_close(first, torch.zeros_like(first), rtol=0, atol=1e-9)
    torch.testing.assert_close(eq["W2"] @ first + eq["b2"], torch.zeros_like(eq["b2"]), rtol=0, atol=1e-9)
    value = [made.module.predictor(at, made.inputs["x"][0]) for at in (made.point, eq)]
    torch.testing.assert_close(*value)


def test_rates_of_isotropic_noise_in_a_product() -> None:
    made = case("low_rank")
    gradients = {key: math.sqrt(12) * leaf for key, leaf in made.gradients(made.point).items()}  # 12 entries, a mean
    eq = made.functions.noise_equilibrium(made.point, gradients)
    gram = [eq[key].T @ eq[key] for key in ("G", "H")]
    torch.testing.assert_close(4 * gram[1], 3 * gram[0])
    p_i, p_j = torch.linalg.eigvalsh(gram[0]).tolist()
    across = 12 * 7 * (p_i + p_j) ** 2 / (2 * (3 * p_i + 4 * p_j) * (3 * p_j + 4 * p_i))
    gradients = {key: math.sqrt(12) * leaf for key, leaf in made.gradients(eq).items()}
    rates = made.functions.noise_equilibrium_rates(eq, gradients, 1.0, 0.0)
    torch.testing.assert_close(rates, torch.tensor([24 / 7, 24 / 7, across], dtype=torch.float64).sort().values)


@pytest.mark.parametrize("name", GRAPHS)
def test_batches_are_points_by_themselves(name: str) -> None:
    made = case(name)
    functions: ModuleType = made.functions
    points = {key: torch.stack([leaf, 1.1 * leaf]) for key, leaf in made.point.items()}
    each = [{key: leaf[row] for key, leaf in points.items()} for row in range(2)]
    gradients = [made.gradients(point) for point in each]
    stacked = {key: torch.stack([one[key] for one in gradients]) for key in points}
    together = functions.noise_equilibrium_velocity(points, stacked, 0.3, 0.1)
    for row in range(2):
        alone = functions.noise_equilibrium_velocity(each[row], gradients[row], 0.3, 0.1)
        torch.testing.assert_close(together[row], alone)
    moved = functions.noise_equilibrium(points, stacked)
    for key, leaf in functions.noise_equilibrium(each[1], gradients[1]).items():
        torch.testing.assert_close(moved[key][1], leaf, rtol=1e-6, atol=1e-8)
