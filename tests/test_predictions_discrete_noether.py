"""Discrete Noether law against steps that were really taken: in exact rationals and with autograd."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest
import sympy as sp
import torch
from prediction_cases import CASES, PHI, declared, names, predictions

from symtheory.errors import DerivationError
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
