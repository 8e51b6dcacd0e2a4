"""Discrete Noether law against steps that were really taken: in exact rationals and with autograd.

On whole arrays the charges of the moved point are NumPy's, from the factors, and the gradient is torch's.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

import array_cases
import numpy as np
import pytest
import sympy as sp
import torch
from array_cases import Arrays, Tensors
from prediction_cases import CASES, PHI, declared, names, predictions

import symtheory as st
from symtheory import catalog
from symtheory.errors import CodegenError, DerivationError
from symtheory.predictions.discrete_noether import discrete_noether
from symtheory.predictions.symbols import ETA, LAMBDA

ROUNDING = 1e-13
"""Residual over the sum of absolute terms: a few hundred roundings of float64."""


def rational(generator: random.Random) -> sp.Rational:
    return sp.Rational(generator.randint(-30, 30) or 1, generator.randint(1, 9))


def exact_residuals(case: str, laws: Mapping[str, sp.Expr], charges: Mapping[str, sp.Expr], seed: int) -> list[sp.Expr]:
    """C(θ') − law for one step on a random quartic loss of w at a random rational point, by exact arithmetic."""
    generator = random.Random(seed)
    theta = [sp.Symbol(name, real=True) for name in names(case)]
    targets = [rational(generator) for _ in range(3)]
    loss = sum((PHI[case](*theta) - target) ** 4 / 4 + target * PHI[case](*theta) for target in targets)
    point = {symbol: rational(generator) for symbol in theta}
    eta, decay = sp.Rational(1, generator.randint(3, 40)), sp.Rational(1, generator.randint(2, 9))
    slopes = {symbol: sp.diff(loss, symbol).subs(point) for symbol in theta}
    moved = {symbol: point[symbol] - eta * (slopes[symbol] + decay * point[symbol]) for symbol in theta}
    values = point | {sp.Symbol(f"g_{s}", real=True): slope for s, slope in slopes.items()} | {ETA: eta, LAMBDA: decay}
    return [charges[key].subs(moved) - law.subs(values) for key, law in laws.items()]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("case", CASES)
def test_law_holds_exactly(case: str, seed: int) -> None:
    formulas = predictions(case)["discrete_noether"].formulas
    charges = formulas["discrete_noether_charges"].results
    assert len(charges) == len(names(case)) - 1
    assert exact_residuals(case, formulas["discrete_noether"].results, charges, seed) == [0] * len(charges)


@pytest.mark.parametrize("case", CASES)
def test_wrong_laws_fail_the_same_check(case: str) -> None:
    formulas = predictions(case)["discrete_noether"].formulas
    charges = formulas["discrete_noether_charges"].results
    at_gradient = {s: sp.Symbol(f"g_{s}", real=True) for s in (sp.Symbol(name, real=True) for name in names(case))}
    for key, charge in charges.items():
        jump, kept = charge.subs(at_gradient, simultaneous=True), (1 - ETA * LAMBDA) ** 2 * charge
        wrong = [
            kept,  # no jump at all
            kept + ETA * jump,  # one power of eta short
            kept - ETA**2 * jump,  # sign
            (1 - 2 * ETA * LAMBDA) * charge + ETA**2 * jump,  # first order in the decay
        ]
        for law in wrong:
            assert exact_residuals(case, {key: law}, charges, seed=1) != [0]


@pytest.mark.parametrize("case", CASES)
def test_generated_law_follows_minibatch_steps(case: str) -> None:
    generator = torch.Generator().manual_seed(5)
    module = predictions(case)["discrete_noether"].load()
    point = {name: torch.randn(7, generator=generator, dtype=torch.float64) for name in names(case)}
    features = torch.randn(4, 7, generator=generator, dtype=torch.float64)
    targets = torch.randn(4, generator=generator, dtype=torch.float64)
    eta, decay = 0.03, 0.4
    for _ in range(20):
        leaves = {name: value.clone().requires_grad_() for name, value in point.items()}
        loss = torch.log(torch.cosh(features @ PHI[case](*leaves.values()) - targets)).mean()
        gradient = dict(zip(leaves, torch.autograd.grad(loss, tuple(leaves.values())), strict=True))
        moved = {name: (1 - eta * decay) * point[name] - eta * gradient[name] for name in point}
        after = module.discrete_noether_charges(moved)
        law = module.discrete_noether(point, gradient, eta, decay)
        scale = module.discrete_noether_scale(point, gradient, eta, decay)
        without_decay = module.discrete_noether(point, gradient, eta, 0.0)
        for key in after:
            assert float(((after[key] - law[key]).abs() / scale[key]).max()) < ROUNDING
            assert float(((after[key] - without_decay[key]).abs() / scale[key]).max()) > 1e3 * ROUNDING
        point = moved


def test_a_charge_that_is_not_conserved_is_refused() -> None:
    u, v = sp.symbols("u v", real=True)
    with pytest.raises(DerivationError, match="could not confirm"):
        discrete_noether(declared("hadamard").model, {"sum": u**2 + v**2}, "hadamard")


# Groups on whole arrays.

BATCH, ETA_NUMBER, DECAY_NUMBER = 5, 0.07, 0.3
LINEAR = "translation"

array_names = pytest.mark.parametrize("name", array_cases.SIZES)


def charges(name: str, theta: Mapping[str, np.ndarray]) -> Arrays:
    """By NumPy, from the factors themselves."""
    return {
        key: value
        for factor in array_cases.declared(name).symmetries()
        for key, value in factor.charge_values(theta).items()
    }


def batch_gradient(name: str, theta: Tensors, samples: Tensors) -> Tensors:
    """Of the mean over a batch of a loss that is no square, through the generated predictor, by autograd."""
    leaves = {key: leaf.clone().requires_grad_() for key, leaf in theta.items()}
    output = array_cases.module(name).predictor({key: leaf.unsqueeze(0) for key, leaf in leaves.items()}, **samples)
    output = output.expand(BATCH, *output.shape[1:]) if output.shape[0] == 1 else output
    generator = torch.Generator().manual_seed(11)
    weights, targets = torch.randn(2, *output.shape, generator=generator, dtype=torch.float64)
    loss = (torch.log(torch.cosh(output - targets)) + weights * output).flatten(1).sum(1).mean()
    return dict(zip(leaves, torch.autograd.grad(loss, tuple(leaves.values())), strict=True))


def as_arrays(values: Mapping[str, torch.Tensor]) -> Arrays:
    return {key: value.detach().numpy() for key, value in values.items()}


@array_names
def test_law_of_a_group_follows_a_step_of_sgd(name: str) -> None:
    law = array_cases.declared(name).predictions()["discrete_noether"].load()
    theta = array_cases.tensors(array_cases.point(name))
    samples = array_cases.data(name, BATCH)
    for _ in range(5):
        gradient = batch_gradient(name, theta, samples)
        moved = {key: (1 - ETA_NUMBER * DECAY_NUMBER) * theta[key] - ETA_NUMBER * gradient[key] for key in theta}
        expected, jump = charges(name, as_arrays(moved)), charges(name, as_arrays(gradient))
        predicted = law.discrete_noether(theta, gradient, ETA_NUMBER, DECAY_NUMBER)
        scale = law.discrete_noether_scale(theta, gradient, ETA_NUMBER, DECAY_NUMBER)
        assert list(predicted) == list(expected) and len(predicted) > 0
        decay = 1 - ETA_NUMBER * DECAY_NUMBER
        for key, value in expected.items():
            assert predicted[key].shape == value.shape == scale[key].shape
            residual = (predicted[key].numpy() - value) / scale[key].numpy()
            assert np.abs(residual).max() < ROUNDING
            # Twice the term of the gradient, or the decay of a quadratic charge for a linear one: far above rounding.
            is_linear = key.startswith(LINEAR)
            before = charges(name, as_arrays(theta))[key]
            extra = (decay**2 - decay) * before if is_linear else ETA_NUMBER**2 * jump[key]
            assert np.abs(residual + extra / scale[key].numpy()).max() > 1e3 * ROUNDING
        theta = moved


@array_names
def test_every_term_of_a_charge_matters(name: str) -> None:
    """The term linear in ηg vanishes, and no longer when the sign of one parameter in it is turned."""
    law = array_cases.declared(name).predictions()["discrete_noether"].load()
    theta = array_cases.tensors(array_cases.point(name))
    gradient = batch_gradient(name, theta, array_cases.data(name, BATCH))
    largest = {key: float(leaf.abs().max()) for key, leaf in gradient.items()}

    def slopes(v: Tensors) -> Tensors:
        """dC(θ) v, exactly, as C is a quadratic or a linear form."""
        plus, minus = (law.discrete_noether_charges({k: theta[k] + sign * v[k] for k in v}) for sign in (1, -1))
        return {key: (plus[key] - minus[key]) / 2 for key in plus}

    assert all(float(slope.abs().max()) < 1e-13 * max(largest.values()) for slope in slopes(gradient).values())
    for factor in array_cases.declared(name).symmetries():
        # Shifts of one parameter have one term; and the bias of the keys, say, has no gradient at all.
        for parameter in factor.shapes if factor.has_charge and len(factor.shapes) > 1 else ():
            turned = {key: -leaf if key == parameter else leaf for key, leaf in gradient.items()}
            if largest[parameter] > 1e-10:
                assert float(slopes(turned)[factor.name].abs().max()) > 1e-4 * largest[parameter]


def test_the_scale_of_a_group_is_the_sum_of_absolute_terms() -> None:
    law = array_cases.declared("low_rank").predictions()["discrete_noether"].load()
    theta, g = array_cases.point("low_rank", 0), array_cases.point("low_rank", 1)

    def absolute(point: Arrays) -> np.ndarray:
        G, H = np.abs(point["G"]), np.abs(point["H"])
        return np.asarray(G.T @ G + H.T @ H)

    scale = law.discrete_noether_scale(array_cases.tensors(theta), array_cases.tensors(g), 0.1, 0.5)["GL"]
    np.testing.assert_allclose(scale, 0.95**2 * absolute(theta) + 0.1**2 * absolute(g), rtol=1e-14)


def test_the_scale_of_a_linear_charge_knows_the_step() -> None:
    law = array_cases.declared("softmax_classifier").predictions()["discrete_noether"].load()
    theta, g = array_cases.point("softmax_classifier", 0), array_cases.point("softmax_classifier", 1)
    scale = law.discrete_noether_scale(array_cases.tensors(theta), array_cases.tensors(g), 0.1, 0.5)
    for key, parameter in (("translation1", "W"), ("translation2", "b")):
        expected = 0.95 * np.abs(theta[parameter]).sum(0, keepdims=True)
        expected += 0.1 * np.abs(g[parameter]).sum(0, keepdims=True)
        np.testing.assert_allclose(scale[key], expected, rtol=1e-14)


def test_the_statement_stands_where_its_source_needs_sizes() -> None:
    prediction = catalog.load("multihead_attention").predictions()["discrete_noether"]
    assert "Wq.T*Wq" in str(prediction) and "one for each index of (heads,)" in str(prediction)
    with pytest.raises(CodegenError, match=r"bind\(h=…\) first"):
        prediction.load()


def test_a_matrix_of_ones_is_told_from_the_number() -> None:
    prediction = catalog.load("softmax_classifier").predictions()["discrete_noether"]
    assert "ones(1, k)*W" in str(prediction)
    assert r"\mathbf{1}_{1 \times k} W" in prediction.latex()


def test_parameters_named_as_gradients_take_the_law_away_alone() -> None:
    n, h = st.dims("n h")
    P = st.Parametrization(st.param("W", n, h) @ st.param("g_W", n, h).T, name="odd")
    assert "'g_W' is named as the gradient of 'W'" in P.predictions().not_applicable["discrete_noether"]
    assert "def conserved" in st.generate(P).source
