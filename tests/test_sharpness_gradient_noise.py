"""Batch sharpness and the alignment of gradient noise against dense Hessians and all sample gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from numeric.errors import OptionError, SharpnessError
from numeric.sharpness import Objective
from numeric.sharpness.gradient_noise.alignment import noise_alignment
from numeric.sharpness.gradient_noise.batch_sharpness import batch_sharpness
from numeric.sharpness.gradient_noise.cosine import cosine
from numeric.sharpness.gradient_noise.covariance import MomentOperator, gradient_covariance
from numeric.sharpness.gradient_noise.sample_gradients import sample_gradients
from numeric.sharpness.parameters import count, flatten, unflatten

Data = list[tuple[Tensor, Tensor]]


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)).double()


def samples(*sizes: int) -> Data:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(sum(sizes), 6, generator=generator, dtype=torch.float64)
    y = torch.randint(0, 3, (sum(sizes),), generator=generator)
    return list(zip(x.split(sizes), y.split(sizes), strict=True))


def whole(data: Data) -> tuple[Tensor, Tensor]:
    return torch.cat([x for x, _ in data]), torch.cat([y for _, y in data])


def derivatives(model: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The gradient (D,) and the dense Hessian (D, D) of one batch."""
    point = Objective.of(model, cross_entropy, (x, y)).parameters

    def loss(flat: Tensor) -> Tensor:
        return cross_entropy(torch.func.functional_call(model, unflatten(flat, point), (x,)), y)

    flat = flatten(point)
    return torch.func.grad(loss)(flat), torch.autograd.functional.hessian(loss, flat)  # type: ignore[no-untyped-call]


def test_the_three_averages_are_those_of_dense_hessians() -> None:
    model, data = network(), samples(5, 5, 5, 5)
    parts = [derivatives(model, *batch) for batch in data]
    full = derivatives(model, *whole(data))[1]
    curvatures = np.array([float(g @ h @ g) for g, h in parts])
    in_full = np.array([float(g @ full @ g) for g, _ in parts])
    squares = np.array([float(g @ g) for g, _ in parts])
    found = batch_sharpness(model, cross_entropy, data)
    assert found.value == pytest.approx(curvatures.mean() / squares.mean())
    assert found.cost == pytest.approx(3, abs=0.5)
    ratios = batch_sharpness(model, cross_entropy, data, average="mean_of_ratios")
    assert ratios.value == pytest.approx((curvatures / squares).mean())
    assert ratios.standard_error == pytest.approx((curvatures / squares).std(ddof=1) / 2)
    third = batch_sharpness(model, cross_entropy, data, average="full_hessian")
    assert third.value == pytest.approx(in_full.mean() / squares.mean())
    mean = torch.stack([g for g, _ in parts]).mean(0)
    assert third.details["over_squared_mean_gradient"] == pytest.approx(in_full.mean() / float(mean @ mean))
    assert third.details["ratio_of_means"] == found.value
    one = batch_sharpness(model, cross_entropy, whole(data), average="full_hessian")
    assert one.value == pytest.approx(one.details["ratio_of_means"])
    assert one.value == pytest.approx(one.details["mean_of_ratios"])
    assert one.standard_error is None


def test_batches_are_cut_to_size_without_bias() -> None:
    """Batches of one sample from one large batch are all samples, whatever the order."""
    model, data = network(), whole(samples(24))
    singles = list(zip(data[0].split(1), data[1].split(1), strict=True))
    expected = batch_sharpness(model, cross_entropy, singles)
    found = batch_sharpness(model, cross_entropy, data, batch_size=1, seed=3)
    assert found.details["batches"] == 24
    assert found.value == pytest.approx(expected.value)
    assert found.standard_error == pytest.approx(expected.standard_error)
    pairs = [batch_sharpness(model, cross_entropy, data, batch_size=5, seed=seed).value for seed in (0, 1)]
    assert pairs[0] != pairs[1]
    with pytest.raises(OptionError, match="batches of 24"):
        batch_sharpness(model, cross_entropy, data, batch_size=25)
    mixed = batch_sharpness(model, cross_entropy, samples(5, 4))
    assert "4 to 5 samples" in mixed.notes[0]


def test_the_standard_error_of_a_quotient_is_that_of_many_draws() -> None:
    """60 data sets of 120 samples in batches of 10: the spread of the value against the error it reports."""
    model = network()
    generator = torch.Generator().manual_seed(5)
    values, errors = [], []
    for _ in range(60):
        x = torch.randn(120, 6, generator=generator, dtype=torch.float64)
        y = torch.randint(0, 3, (120,), generator=generator)
        found = batch_sharpness(model, cross_entropy, (x, y), batch_size=10)
        values.append(found.value)
        errors.append(found.standard_error)
    assert np.std(values) == pytest.approx(np.mean(errors), rel=0.3)


def test_a_vanishing_gradient_has_no_batch_sharpness() -> None:
    model = nn.Linear(6, 1).double()
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    x, _ = whole(samples(8))
    with pytest.raises(SharpnessError, match="vanishes"):
        batch_sharpness(model, mse_loss, (x, torch.zeros(8, 1, dtype=torch.float64)))


class Branching(nn.Module):
    """A model that torch cannot map over samples."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = network()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.inner(x) if bool(x.sum() > -1e9) else x
        return out


@pytest.mark.parametrize("make", [network, Branching])
def test_covariance_is_that_of_the_sample_gradients(make: type, monkeypatch: pytest.MonkeyPatch) -> None:
    model, data = make(), samples(7, 5)
    objective = Objective.of(model, cross_entropy, data)
    dimension = count(objective.parameters)
    x, y = whole(data)
    rows = torch.stack([derivatives(network(), x[i : i + 1], y[i : i + 1])[0] for i in range(12)]).numpy()
    monkeypatch.setattr("numeric.sharpness.gradient_noise.sample_gradients.ENTRIES", 3 * dimension)
    blocks = list(sample_gradients(objective, dimension))
    assert [len(block) for block in blocks] == [3, 3, 1, 3, 2]
    np.testing.assert_allclose(torch.cat(blocks).numpy(), rows, atol=1e-12)
    found = gradient_covariance(objective).product(torch.eye(dimension, dtype=torch.float64))
    np.testing.assert_allclose(found.numpy(), np.cov(rows.T, bias=True), atol=1e-12)
    assert objective.cost.units(12) == pytest.approx(2)


def test_alignment_with_the_hessian_is_the_dense_cosine() -> None:
    model, data = network(), samples(20, 20)
    x, y = whole(data)
    rows = np.stack([derivatives(model, x[i : i + 1], y[i : i + 1])[0].numpy() for i in range(40)])
    covariance = np.cov(rows.T, bias=True)
    hessian = derivatives(model, x, y)[1].numpy()
    expected = (covariance * hessian).sum() / np.linalg.norm(covariance) / np.linalg.norm(hessian)
    exact = noise_alignment(model, cross_entropy, data, probes=1000)
    assert exact.value == pytest.approx(expected, rel=1e-9)
    assert exact.standard_error is None
    assert exact.details["covariance_norm"] == pytest.approx(np.linalg.norm(covariance))
    found = [noise_alignment(model, cross_entropy, data, probes=30, seed=seed) for seed in range(20)]
    scores = [(each.value - expected) / (each.standard_error or 0) for each in found]
    assert np.sqrt(np.mean(np.square(scores))) < 2
    assert np.std([each.value for each in found]) < 0.05 * expected


def test_alignment_takes_any_matrix_and_is_one_with_itself() -> None:
    model, data = network(), samples(20)
    same = noise_alignment(
        model, cross_entropy, data, probes=20, matrix=lambda objective, _: gradient_covariance(objective), target="self"
    )
    assert same.name == "noise_alignment_self"
    assert same.value == pytest.approx(1)
    rows = torch.randn(4, 53, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    factor = MomentOperator(lambda: iter(rows.split(3)), 53, weight=1.0)
    np.testing.assert_allclose(
        factor.product(torch.eye(53, dtype=torch.float64)).numpy(), (rows.mT @ rows).numpy(), atol=1e-12
    )
    zero = MomentOperator(lambda: iter([torch.zeros(2, 53, dtype=torch.float64)]), 53)
    with pytest.raises(SharpnessError, match="vanishes"):
        cosine(factor, zero, rows, torch.Generator(), probes=20)
