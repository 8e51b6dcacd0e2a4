"""Which likelihood a loss is, and the Fisher information of its outputs."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from fisher_cases import inputs, tanh_network
from torch import Tensor, nn
from torch.func import jacrev
from torch.nn import functional as F

from numeric.errors import OptionError
from numeric.sharpness import Objective
from numeric.sharpness.fisher.likelihoods import Bernoulli, Categorical, Family, Gaussian
from numeric.sharpness.fisher.predictive import predictive

X = inputs(6, 2)
CLASSES = torch.arange(6) % 3
COINS = (inputs(6, 3, seed=2) > 0).double()


class Applied(nn.Module):
    def __init__(self, inner: nn.Module, function: object) -> None:
        super().__init__()
        self.inner, self.function = inner, function

    def forward(self, x: Tensor) -> object:
        return self.function(self.inner(x))  # type: ignore[operator]


@dataclass
class Output:
    logits: Tensor


def tokens(out: Tensor) -> Tensor:
    """(n, 6) as classes (n, 3) of two tokens."""
    return out.reshape(-1, 3, 2)


TWO_TOKENS = torch.stack([CLASSES, CLASSES.flip(0)], 1)
CASES = [
    (tanh_network(), nn.MSELoss(), COINS, Gaussian(), 2 / 3),
    (tanh_network(), lambda out, y: 0.5 * (out - y).square().sum(1).mean(), COINS, Gaussian(), 1),
    (tanh_network(), nn.CrossEntropyLoss(), CLASSES, Categorical(), 1),
    (tanh_network(), nn.CrossEntropyLoss(label_smoothing=0.1), CLASSES, Categorical(), 1),
    (Applied(tanh_network(), F.log_softmax), nn.NLLLoss(), CLASSES, Categorical(log_probabilities=True), 1),
    (Applied(tanh_network(6), tokens), nn.CrossEntropyLoss(), TWO_TOKENS, Categorical(), 1 / 2),
    (
        Applied(tanh_network(6), lambda out: tokens(out).mT),
        lambda out, y: F.cross_entropy(out.flatten(0, 1), y.flatten()),
        TWO_TOKENS,
        Categorical(axis=-1),
        1 / 2,
    ),
    (Applied(tanh_network(), Output), lambda out, y: F.cross_entropy(out.logits, y), CLASSES, Categorical(), 1),
    (tanh_network(), nn.BCEWithLogitsLoss(), COINS, Bernoulli(), 1 / 3),
    (Applied(tanh_network(1), lambda out: out.squeeze(1)), nn.BCEWithLogitsLoss(), COINS[:, 0], Bernoulli(), 1),
    (Applied(tanh_network(), torch.sigmoid), nn.BCELoss(), COINS, Bernoulli(probabilities=True), 1 / 3),
]


@pytest.mark.filterwarnings("ignore:Implicit dimension choice")
@pytest.mark.parametrize(("model", "loss", "target", "family", "scale"), CASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_loss_tells_its_likelihood_and_scale(
    model: nn.Module, loss: object, target: Tensor, family: Family, scale: float, dtype: torch.dtype
) -> None:
    found = predictive(Objective.of(model.to(dtype), loss, (X, target)))
    model.double()
    assert found.family == family
    assert found.scale == pytest.approx(scale, rel=1e-4)
    assert found.notes == ()


def test_other_losses_need_a_name() -> None:
    weighted = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64))
    objective = Objective.of(tanh_network(), weighted, (X, CLASSES))
    with pytest.raises(OptionError, match="name the model's likelihood"):
        predictive(objective)
    named = predictive(objective, "categorical")
    assert named.family.name == "categorical"
    assert "off by" in named.notes[0]
    with pytest.raises(OptionError, match="no likelihood 'poisson'"):
        predictive(objective, "poisson")
    with pytest.raises(OptionError, match="returns a tuple"):
        predictive(Objective.of(Applied(tanh_network(), lambda out: (out, out)), weighted, (X, CLASSES)))


@pytest.mark.parametrize("family", [Gaussian(), Bernoulli(), Categorical()])
def test_the_root_and_the_scores_give_the_curvature_of_the_log_partition_function(family: Family) -> None:
    natural = inputs(4, 6, seed=3).reshape(4, 2, 3)
    partition = {
        "gaussian": lambda f: 0.5 * f.square().sum(),
        "bernoulli": lambda f: F.softplus(f).sum(),
        "categorical": lambda f: f.logsumexp(-1).sum(),
    }[family.name]
    at = natural if family.name == "categorical" else natural.reshape(4, 6, 1)
    size = at.shape[-1]
    for event in at.reshape(-1, size):
        expected = jacrev(jacrev(partition))(event)
        root = family.root(event.reshape(1, 1, size))[0, 0]
        torch.testing.assert_close(root @ root.mT, expected)
        torch.testing.assert_close(family.mean(event), jacrev(partition)(event))
    generator = torch.Generator().manual_seed(4)
    event = at[:1, :1].expand(20_000, 1, size)
    scores = family.sample_score(event, generator)[:, 0]
    products = scores.unsqueeze(2) * scores.unsqueeze(1)
    error = products.std(0) / 20_000**0.5 + 1e-12
    assert float(((products.mean(0) - jacrev(jacrev(partition))(at[0, 0])) / error).abs().max()) < 5


def test_a_confident_class_keeps_its_digits() -> None:
    root = Categorical().root(torch.tensor([[[0.0, -200.0, -300.0]]], dtype=torch.float64))[0, 0]
    assert float((root @ root.mT)[1, 1]) == pytest.approx(torch.tensor(-200.0, dtype=torch.float64).exp().item())
    torch.testing.assert_close(root.sum(0), torch.zeros(2, dtype=torch.float64))
