"""The border of the sharpness measures: forms of data, the loss's properties, one plain measure end to end."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from numeric.errors import DataError, OptionError, SharpnessError
from numeric.sharpness import Objective, Value, evaluate
from numeric.sharpness.border import check_border
from numeric.sharpness.parameters import Point, norm, trainable
from numeric.sharpness.value import over_batches


def network(**options: float) -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)]
    return nn.Sequential(*layers, *(nn.Dropout(p) for p in options.values())).double()


def samples(n: int = 6) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n, 3, generator=generator), torch.arange(n) % 2


class ByKeyword(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = network()

    def forward(self, *, x: Tensor) -> Tensor:
        out: Tensor = self.inner(x)
        return out


@dataclass(frozen=True)
class GradientNorm:
    name: str = "gradient_norm"

    def __call__(self, objective: Objective, generator: torch.Generator) -> Value:
        found = [
            (float(norm(objective.gradient(objective.parameters, batch)[1])), batch.size)
            for batch in objective.batches()
        ]
        mean, error = over_batches([value for value, _ in found], [size for _, size in found])
        return Value(mean, error)


def test_all_forms_of_data_give_one_loss() -> None:
    x, y = samples()
    loss = nn.CrossEntropyLoss()
    plain = Objective.of(network(), loss, (x, y))
    expected = loss(network()(x.double()), y)
    forms = [
        (network(), (x, y)),
        (network(), [(x, y)]),
        (network(), [[x, y]]),
        (network(), ((x,), y)),
        (ByKeyword(), {"x": x, "labels": y}),
        (ByKeyword(), [{"x": x, "labels": y}]),
        (network(), torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=6)),
    ]
    for model, data in forms:
        objective = Objective.of(model, loss, data)
        (batch,) = objective.batches()
        assert batch.size == 6
        assert torch.equal(objective.value(objective.parameters, batch), expected)
    assert list(plain.parameters) == [name for name, _ in network().named_parameters()]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (iter([samples()]), "read once"),
        ([], "no batch"),
        ([samples()[0]], "give pairs"),
        ({"x": samples()[0]}, "under 'labels'"),
        ([(samples()[0], samples(4)[1])], "found 4, 6"),
    ],
)
def test_data_that_cannot_be_read(data: object, words: str) -> None:
    with pytest.raises(DataError, match=words):
        check_border(Objective.of(network(), nn.CrossEntropyLoss(), data))


def test_losses_without_sharpness() -> None:
    x, y = samples()
    with pytest.raises(SharpnessError, match="not a mean"):
        check_border(Objective.of(network(), nn.CrossEntropyLoss(reduction="sum"), (x, y)))
    with pytest.raises(SharpnessError, match="shape"):
        check_border(Objective.of(network(), nn.CrossEntropyLoss(reduction="none"), (x, y)))
    with pytest.raises(SharpnessError, match="two evaluations"):
        check_border(Objective.of(network(p=0.5), nn.CrossEntropyLoss(), (x, y)))
    with pytest.raises(SharpnessError, match="nan"):
        check_border(Objective.of(network(), nn.CrossEntropyLoss(), (x * torch.nan, y)))
    with pytest.raises(SharpnessError, match="the model cannot take the first batch: RuntimeError"):
        check_border(Objective.of(network(), nn.CrossEntropyLoss(), (x[:, :2], y)))
    with pytest.raises(SharpnessError, match="the loss cannot take the model's output"):
        check_border(Objective.of(network(), nn.CrossEntropyLoss(), (x, y.double()[:, None])))
    with pytest.raises(SharpnessError, match="type float"):
        check_border(Objective.of(network(), lambda output, target: 1.0, (x, y)))  # type: ignore[arg-type, return-value]
    frozen = network().requires_grad_(False)
    with pytest.raises(OptionError, match="no trainable"):
        Objective.of(frozen, nn.CrossEntropyLoss(), (x, y))


def test_evaluate_counts_cost_and_change_along_an_orbit() -> None:
    x, y = samples()
    objective = Objective.of(network(), nn.CrossEntropyLoss(), [(x[:4], y[:4]), (x[4:], y[4:])])

    def rescale(point: Point) -> Point:
        return {
            **point,
            "0.weight": 3 * point["0.weight"],
            "0.bias": 3 * point["0.bias"],
            "2.weight": point["2.weight"] / 3,
        }

    measured = evaluate(GradientNorm(), objective, seed=0, move=rescale)
    assert measured.cost == pytest.approx(1.0)
    assert measured.standard_error is not None
    assert measured.invariant is False
    assert evaluate(GradientNorm(), objective, seed=0, move=dict).invariant is True
    assert evaluate(GradientNorm(), objective, seed=0).invariant is None
    assert trainable(objective.model)["0.weight"].equal(objective.parameters["0.weight"])


def test_the_gradient_is_that_of_the_mean_loss() -> None:
    x, y = samples()
    model = network()
    objective = Objective.of(model, nn.CrossEntropyLoss(), (x, y))
    (batch,) = objective.batches()
    value, gradient = objective.gradient(objective.parameters, batch)
    loss = nn.CrossEntropyLoss()(model(x.double()), y)
    loss.backward()
    assert torch.equal(value, loss.detach())
    for name, parameter in model.named_parameters():
        assert torch.equal(gradient[name], parameter.grad)
