"""K-FAC: exact where the Fisher is a Kronecker product, curvlinops' own matrix elsewhere, and its orbits."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
import torch
from fisher_cases import (
    Reparametrized,
    change_basis,
    dense_fisher,
    inputs,
    linear_pair,
    outputs_of,
    relu_network,
    rescale,
)
from torch import nn

from numeric.errors import OptionError
from numeric.sharpness import Objective, evaluate
from numeric.sharpness.fisher.kronecker_root import KroneckerRoot, Layer, kronecker_root
from numeric.sharpness.fisher.sharpness import FisherSharpness
from numeric.sharpness.parameters import flatten

ROUNDING = 1e-7


def test_the_root_of_kronecker_products_against_dense_matrices() -> None:
    """Without curvlinops: W Wᵀ is the pseudo-inverse of ⊕ G ⊗ A, weight and bias of a layer together."""
    model = nn.Linear(2, 3).double()
    shapes = {name: leaf.detach() for name, leaf in model.named_parameters()}
    spread = [inputs(size, size, seed=size) for size in (3, 2)]
    outputs, joint = (root @ root.mT for root in (spread[0], torch.block_diag(spread[1], torch.ones(1, 1).double())))
    layer = Layer(torch.linalg.eigh(outputs), torch.linalg.eigh(joint), "weight", "bias")
    root = KroneckerRoot((layer,), shapes, 1.0)
    dense = torch.kron(outputs, joint)  # over (out, in + bias)
    order = [3 * out + i for out in range(3) for i in range(2)] + [3 * out + 2 for out in range(3)]
    lifted = root.lift(torch.eye(9).double())
    torch.testing.assert_close(lifted.mT @ lifted, torch.linalg.inv(dense[order][:, order]))
    torch.testing.assert_close(root.lower(torch.eye(9).double()), lifted.mT)


def test_without_curvlinops_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "curvlinops", None)
    at = Objective.of(linear_pair(), nn.CrossEntropyLoss(), (inputs(8, 3), torch.arange(8) % 3))
    with pytest.raises(OptionError, match=r"symtheory\[curvature\]"):
        evaluate(FisherSharpness(estimator="kfac"), at, seed=0)


def test_one_linear_layer_under_squared_error_is_a_kronecker_product() -> None:
    pytest.importorskip("curvlinops")
    torch.manual_seed(0)
    model, x, y = nn.Linear(3, 2).double(), inputs(20, 3), inputs(20, 2, seed=2)
    at = Objective.of(model, nn.MSELoss(), [(x[:8], y[:8]), (x[8:], y[8:])])
    dense = dense_fisher(outputs_of(at, x), "gaussian", 1.0)(flatten(at.parameters))
    lifted = kronecker_root(at).lift(torch.eye(8).double())
    torch.testing.assert_close(lifted.mT @ lifted, torch.linalg.inv(dense))
    assert evaluate(FisherSharpness(estimator="kfac"), at, seed=0).value == pytest.approx(8)


def convolutional_network() -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Unflatten(1, (1, 3)), nn.Unflatten(2, (3, 1)), nn.Conv2d(1, 2, (2, 1)), nn.Tanh(), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(4, 3)).double()


@pytest.mark.parametrize("network", [relu_network, convolutional_network])
def test_networks_give_what_curvlinops_gives(network: Callable[[], nn.Module]) -> None:
    curvlinops = pytest.importorskip("curvlinops")
    x, y = inputs(20, 3), torch.arange(20) % 3
    model = network()
    at = Objective.of(model, nn.CrossEntropyLoss(), (x, y))
    operator = curvlinops.KFACLinearOperator(
        model,
        nn.CrossEntropyLoss(),
        list(model.parameters()),
        [(x, y)],
        fisher_type="type-2",
        separate_weight_and_bias=False,
    )
    dense = operator @ torch.eye(operator.shape[0]).double()
    lifted = kronecker_root(at).lift(torch.eye(kronecker_root(at).rank).double())
    torch.testing.assert_close(lifted.mT @ lifted, torch.linalg.pinv(dense, rtol=1e-10, hermitian=True))


def test_layers_keep_their_orbits() -> None:
    pytest.importorskip("curvlinops")
    x, y = inputs(20, 3), torch.arange(20) % 3
    at = Objective.of(relu_network(), nn.CrossEntropyLoss(), (x, y))
    relu = evaluate(FisherSharpness(estimator="kfac"), at, seed=0, move=rescale)
    pair = Objective.of(linear_pair(), nn.CrossEntropyLoss(), (x, y))
    linear = evaluate(FisherSharpness(estimator="kfac"), pair, seed=0, move=change_basis)
    assert relu.details["rank"] == 26  # the logits' common shift is no information: 5 of 31 directions
    assert max(relu.change_along_orbit or 0, linear.change_along_orbit or 0) < ROUNDING
    with pytest.raises(OptionError, match="does not take this model"):
        kronecker_root(Objective.of(Reparametrized(relu_network()), nn.CrossEntropyLoss(), (x, y)))
