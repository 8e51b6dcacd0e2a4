"""The smallest norm on an orbit against the group's own canonical point, dense linear algebra and a plain minimiser."""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp
import torch
from group_cases import declared, point, predict
from scipy.optimize import minimize

import symtheory as st
from symtheory import catalog
from symtheory.errors import DerivationError
from symtheory.predictions.orbit_minimum import orbit_minimum
from symtheory.predictions.orbit_quantity import Chain
from symtheory.predictions.prediction import Prediction
from symtheory.predictions.subject import Subject
from symtheory.rendering import plain

CLOSED = ("low_rank", "chain", "relu", "cubic", "classifier", "heads_as_axis")
"""Cases whose canonical point is the smallest of its orbit and whose minimum has a closed form."""

# Sweeps over coupled factors settle to 1e-13 of the largest entry.
SETTLED = 1e-9


def tensors(theta: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in theta.items()}


def decay(name: str) -> Prediction:
    return declared(name).predictions()["weight_decay"]


@pytest.mark.parametrize("name", CLOSED)
def test_the_minimum_is_the_norm_of_the_canonical_point(name: str) -> None:
    group, theta, functions = declared(name).symmetries(), point(name), decay(name).load()
    smallest = sum((value**2).sum() for value in group.canonical(theta).values())
    assert float(functions.weight_decay(tensors(theta))) == pytest.approx(smallest, rel=SETTLED)
    assert float(functions.weight_decay_norm(tensors(theta))) > 1.01 * smallest
    moved = group.act(group.sample(np.random.default_rng(3)), theta)
    assert float(functions.weight_decay(tensors(moved))) == pytest.approx(smallest, rel=SETTLED)


@pytest.mark.parametrize("name", [*CLOSED, "multihead"])
def test_the_balanced_point_is_on_the_fibre_with_the_smallest_norm(name: str) -> None:
    theta, functions = point(name), decay(name).load()
    balanced = functions.weight_decay_balanced(tensors(theta))
    assert {key: value.shape for key, value in balanced.items()} == {key: value.shape for key, value in theta.items()}
    arrays = {key: value.numpy() for key, value in balanced.items()}
    np.testing.assert_allclose(predict(name, arrays), predict(name, theta), rtol=1e-11, atol=1e-11)
    norm, minimum = functions.weight_decay_norm(balanced), functions.weight_decay(tensors(theta))
    torch.testing.assert_close(norm, minimum, rtol=1e-11, atol=0)
    for charge in functions.weight_decay_balance(balanced).values():
        assert float(charge.abs().max()) < 1e-11


def test_a_batch_of_points_has_one_minimum_each() -> None:
    theta = {name: torch.stack([torch.from_numpy(value), 2 * torch.from_numpy(value)]) for name, value in POINT.items()}
    found = decay("heads_as_axis").load().weight_decay(theta)
    assert found.shape == (2,)
    assert float(found[1]) == pytest.approx(4 * float(found[0]))


POINT = point("heads_as_axis")


def test_a_chain_of_four_has_the_schatten_norm_of_its_product() -> None:
    sizes = (3, 4, 2, 5, 3)
    parts = [st.param(name, *sizes[place : place + 2]) for place, name in enumerate("ABCD")]
    P = st.Parametrization(parts[0] @ parts[1] @ parts[2] @ parts[3], name="chain_of_four")
    rng = np.random.default_rng(0)
    theta = {name: rng.standard_normal(sizes[place : place + 2]) for place, name in enumerate("ABCD")}
    product = theta["A"] @ theta["B"] @ theta["C"] @ theta["D"]
    expected = 4 * (np.linalg.svd(product, compute_uv=False)[:2] ** 0.5).sum()
    functions = P.predictions()["weight_decay"].load()
    assert float(functions.weight_decay(tensors(theta))) == pytest.approx(expected, rel=1e-10)
    balanced = functions.weight_decay_balanced(tensors(theta))
    made = balanced["A"] @ balanced["B"] @ balanced["C"] @ balanced["D"]
    np.testing.assert_allclose(made.numpy(), product, atol=1e-12)
    for charge in functions.weight_decay_balance(balanced).values():
        assert float(charge.abs().max()) < 1e-12


def test_a_number_for_each_group_gives_the_group_lasso() -> None:
    g, d = st.dims("g d")
    a, V = st.param("a", g), st.param("V", g, d)
    prediction = st.Parametrization(a.reshape(g, 1) * V, name="groups").predictions()["weight_decay"]
    rng = np.random.default_rng(1)
    theta = {"a": rng.standard_normal(4), "V": rng.standard_normal((4, 3))}
    expected = 2 * np.linalg.norm(theta["a"][:, None] * theta["V"], axis=1).sum()
    assert float(prediction.load().weight_decay(tensors(theta))) == pytest.approx(expected, rel=1e-12)


def test_a_scaling_between_two_products_gives_their_geometric_mean() -> None:
    P = catalog.load("linear_attention").bind(n=3, d=3, h=2)
    rng = np.random.default_rng(2)
    theta = {name: rng.standard_normal([int(size) for size in shape]) for name, shape in P.parameters.items()}
    first, second = theta["Wq"] @ theta["Wk"].T, theta["Wv"] @ theta["Wo"]
    expected = 4 * np.sqrt(np.linalg.norm(first, "nuc") * np.linalg.norm(second, "nuc"))
    functions = P.predictions()["weight_decay"].load()
    assert float(functions.weight_decay(tensors(theta))) == pytest.approx(expected, rel=1e-12)
    balanced = functions.weight_decay_balanced(tensors(theta))
    assert float(functions.weight_decay_norm(balanced)) == pytest.approx(expected, rel=1e-12)
    assert float(functions.weight_decay_balance(balanced)["scaling"].abs()) < 1e-12


def test_weights_of_the_squares_enter_by_their_geometric_mean() -> None:
    """min c ‖G A⁻¹‖² + e ‖H Aᵀ‖² over A, found by BFGS on the entries of A."""
    P = declared("low_rank")
    model = Subject(P, P.symmetries()).matrices
    minimum = orbit_minimum(model, {"G": sp.Integer(3), "H": sp.Rational(1, 2)})
    (chain,) = minimum.quantities
    assert isinstance(chain, Chain)
    assert chain.scale == sp.sqrt(sp.Rational(3, 2))
    theta = point("low_rank")
    G, H = theta["G"], theta["H"]

    def weighted(entries: np.ndarray) -> float:
        A = entries.reshape(2, 2)
        return float(3 * ((G @ np.linalg.inv(A)) ** 2).sum() + 0.5 * ((H @ A.T) ** 2).sum())

    found = minimize(weighted, np.eye(2).ravel(), options={"gtol": 1e-10})
    assert 2 * float(chain.scale) * np.linalg.norm(G @ H.T, "nuc") == pytest.approx(found.fun, rel=1e-8)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("low_rank", "2*Trace(((H*G.T)*(G*H.T))**(1/2))"),
        ("shallow_relu", "2*Trace(DiagonalMatrix(V.T*V)**(1/2)*DiagonalMatrix(W*W.T)**(1/2))"),
        ("lora", "2*Trace(((A.T*B.T)*(B*A))**(1/2))"),
    ],
)
def test_the_statement_at_symbolic_size(name: str, value: str) -> None:
    relations = catalog.load(name).predictions()["weight_decay"].relations
    assert plain(relations[0]) == f"R(theta) = {value}"


def test_the_reach_of_the_minimum_is_told() -> None:
    whole, orbit = (str(catalog.load(name).predictions()["weight_decay"]) for name in ("lora", "shallow_relu"))
    assert "over its whole fibre" in whole
    assert "other points of the fibre" in orbit


@pytest.mark.parametrize("name", ["residual", "deep_relu", "state_space", "deep_linear"])
def test_without_a_closed_form_the_balance_stands_alone(name: str) -> None:
    prediction = catalog.load(name).predictions()["weight_decay"]
    assert "weight_decay" not in prediction.formulas and "weight_decay_balance" in prediction.formulas
    assert "no closed form" in str(prediction)
    assert all(relation.rhs == 0 for relation in prediction.relations)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("weight_norm", "'rescaling2' makes W as small as one likes"),
        ("transformer", "'scaling' makes E, Wv, W1 as small as one likes"),
        ("tanh_net", "'tanh_net' has no conserved charge"),
    ],
)
def test_a_group_without_a_smallest_norm_has_no_prediction(name: str, reason: str) -> None:
    with pytest.raises(DerivationError, match=reason):
        catalog.load(name).predictions()["weight_decay"]


def test_shifts_that_are_made_up_for_are_not_taken_away() -> None:
    """The bias of the values cannot be dropped for nothing; that of the keys can."""
    theta, functions = tensors(point("multihead")), decay("multihead").load()
    penalty = functions.weight_decay(theta)
    assert float(functions.weight_decay({**theta, "bk": 0 * theta["bk"]})) == pytest.approx(float(penalty))
    assert float(functions.weight_decay({**theta, "bv": 0 * theta["bv"]})) < 0.999 * float(penalty)
