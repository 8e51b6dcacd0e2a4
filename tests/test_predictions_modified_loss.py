"""Backward error analysis against closed flows, enumerated epochs, and dense derivatives."""

from __future__ import annotations

from itertools import permutations, product

import pytest
import sympy as sp
import torch
from torch import Tensor

import symtheory as st
from symtheory import catalog
from symtheory.predictions.backward_error import Tree, mean_epoch_term, modified_field, penalty_factor

ORDER = 4
X, ETA = sp.symbols("x eta")


def differential(tree: Tree, field: sp.Expr) -> sp.Expr:
    """The elementary differential of a tree for a field of one coordinate."""
    return sp.diff(field, X, len(tree)) * sp.Mul(*(differential(branch, field) for branch in tree))


def modified(field: sp.Expr, order: int) -> sp.Expr:
    return sp.Add(
        *(
            ETA**power * weight * differential(tree, field)
            for power, series in enumerate(modified_field(order))
            for tree, weight in series.items()
        )
    )


def test_a_linear_field_gives_the_logarithm() -> None:
    """θ' = (1 + η) θ is the flow of θ̇ = log(1 + η)/η θ."""
    expected = sp.series(sp.log(1 + ETA) / ETA, ETA, 0, ORDER + 1).removeO()
    assert sp.expand(modified(X, ORDER) - expected * X) == 0


@pytest.mark.parametrize("field", [X**2, 1 + X**3, X - 2 * X**2])
def test_the_modified_flow_takes_one_step(field: sp.Expr) -> None:
    """The Taylor series of the flow in time, by repeated derivatives, is θ + ηf(θ) to the order of the analysis."""
    velocity = modified(field, ORDER)
    term, total = X, X
    for count in range(1, ORDER + 2):
        term = sp.expand(sp.diff(term, X) * velocity)
        total += ETA**count / sp.factorial(count) * term
    rest = sp.expand(total - X - ETA * field)
    assert all(rest.coeff(ETA, power) == 0 for power in range(ORDER + 2))
    short = modified(field, 1)  # and the one that is cut off misses by η³
    assert sp.expand(velocity - short).coeff(ETA, 2) != 0


def test_the_potential_of_the_first_term() -> None:
    assert penalty_factor(modified_field(1)[1][((),)]) == sp.Rational(1, 4)


@pytest.mark.parametrize("replacement", [False, True])
def test_enumerated_epochs(replacement: bool) -> None:
    """The exact mean over all orders of three batches against the flow with the derived term, to order η²."""
    fields = [X**2, 1 - 3 * X, sp.Rational(1, 2) * X**3 + X]
    orders = list(product(range(3), repeat=3) if replacement else permutations(range(3)))
    mean = sp.Integer(0)
    for order in orders:
        place = X
        for batch in order:
            place = place + ETA * fields[batch].subs(X, place)
        mean += sp.expand(place) / len(orders)
    average = sp.Add(*fields) / 3
    both, own = mean_epoch_term(replacement)
    squares = sp.Add(*(sp.diff(field, X) * field for field in fields)) / 3
    velocity = average + ETA * (both * sp.diff(average, X) * average + own * squares)
    time = 3 * ETA
    flow = X + time * velocity + time**2 / 2 * sp.diff(velocity, X) * velocity
    rest = sp.expand(mean - flow)
    assert [sp.expand(rest.coeff(ETA, power)) for power in (0, 1, 2)] == [0, 0, 0]
    rival = sp.expand(ETA * time * (both * squares + own * sp.diff(average, X) * average - velocity.coeff(ETA)))
    assert rival != 0


def losses_of(module: object, inputs: dict[str, Tensor], target: Tensor) -> object:
    """Per-sample losses (samples, *batch) of a point with one batch axis."""

    def losses(point: dict[str, Tensor]) -> Tensor:
        outputs = module.predictor({name: leaf.unsqueeze(1) for name, leaf in point.items()}, **inputs)
        return 0.5 * (outputs - target).square().sum(-1).mT

    return losses


def test_generated_fields_against_dense_derivatives() -> None:
    P = catalog.load("tanh_net").bind(d=2, h=3, k=2)
    module, f = st.generate(P).load(), P.predictions()["modified_loss"].load()
    generator = torch.Generator().manual_seed(2)
    point = {
        name: torch.randn(2, *map(int, shape), generator=generator, dtype=torch.float64)
        for name, shape in P.parameters.items()
    }
    inputs = {"x": torch.randn(4, 2, generator=generator, dtype=torch.float64)}
    losses = losses_of(module, inputs, torch.randn(4, 2, generator=generator, dtype=torch.float64))
    full = lambda place: losses(place).mean(0)  # noqa: E731
    eta = 0.3
    found = f.modified_loss_second_order(full, point, eta)
    first, shuffled = f.modified_loss_field(full, point, eta), f.modified_loss_shuffled_field(losses, point, eta)
    value, mean_value = f.modified_loss(full, point, eta), f.modified_loss_shuffled(losses, point, eta)
    for replica in range(2):
        shapes = {name: leaf[replica].shape for name, leaf in point.items()}
        flat = torch.cat([leaf[replica].flatten() for leaf in point.values()])

        def batch_losses(theta: Tensor, shapes: dict = shapes) -> Tensor:
            leaves = theta.split([shape.numel() for shape in shapes.values()])
            return losses(
                {name: leaf.reshape(1, *shape) for (name, shape), leaf in zip(shapes.items(), leaves, strict=True)}
            )[:, 0]

        jacobian = torch.autograd.functional.jacobian(batch_losses, flat)
        hessians = torch.stack(
            [torch.autograd.functional.hessian(lambda theta, b=b: batch_losses(theta)[b], flat) for b in range(4)]
        )
        g, H = jacobian.mean(0), hessians.mean(0)
        step = 1e-5
        third = (
            torch.autograd.functional.hessian(lambda theta: batch_losses(theta).mean(), flat + step * g)
            - torch.autograd.functional.hessian(lambda theta: batch_losses(theta).mean(), flat - step * g)
        ) / (2 * step)
        own = torch.einsum("bij,bj->i", hessians, jacobian) / 4

        def flattened(leaves: dict[str, Tensor], replica: int = replica) -> Tensor:
            return torch.cat([leaf[replica].flatten() for leaf in leaves.values()])

        torch.testing.assert_close(flattened(first), -g - eta / 2 * H @ g)
        expected = -g - eta / 2 * H @ g - eta**2 * (third @ g / 12 + H @ H @ g / 3)
        torch.testing.assert_close(flattened(found), expected, rtol=1e-7, atol=1e-9)
        torch.testing.assert_close(flattened(shuffled), -g - eta / 2 * own)
        torch.testing.assert_close(value[replica], batch_losses(flat).mean() + eta / 4 * g @ g)
        squares = jacobian.square().sum(1).mean()
        torch.testing.assert_close(mean_value[replica], batch_losses(flat).mean() + eta / 4 * squares)


def test_it_applies_to_every_graph_and_names_both_kinds_of_epoch() -> None:
    for name in ("total_variation", "transformer", "tanh_net"):
        text = str(catalog.load(name).predictions()["modified_loss"])
        assert "L_shuffled = L + eta*E(norm_grad_L_B**2)/4" in text
        assert "L_replacement = L + eta*norm_grad_L**2/4" in text
