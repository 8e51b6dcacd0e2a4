"""Worst-case and average sharpness: closed forms, rescaled coordinates, symmetries, normalized logits, batches."""

from __future__ import annotations

import statistics
from typing import Any

import pytest
import torch
from sharpness_problems import (
    DATA,
    Bare,
    classes,
    mean_of,
    perceptron,
    positive,
    quadratic,
    scale_layers,
    scale_units,
)
from torch import Tensor, nn

from numeric.errors import OptionError, SharpnessError
from numeric.sharpness import Measure, Objective, evaluate
from numeric.sharpness.parameters import Point
from numeric.sharpness.perturbation import adaptive as adaptive_module
from numeric.sharpness.perturbation import worst_case as worst_case_module
from numeric.sharpness.perturbation.average import Average, average
from numeric.sharpness.perturbation.normalized_logits import normalize_logits
from numeric.sharpness.perturbation.worst_case import WorstCase, worst_case

CROSS_ENTROPY = nn.CrossEntropyLoss()
ROUNDING = 1e-9  # of 20 steps of an ascent in float64, relative


def measures(adaptive: Any) -> list[Measure]:
    return [
        WorstCase(0.3, "l2", adaptive),
        WorstCase(0.05, "linf", adaptive),
        Average(0.1, "l2", adaptive),
        Average(0.1, "linf", adaptive),
        Average(0.5, "l2", adaptive, draw="sphere"),
    ]


def test_worst_case_of_a_quadratic() -> None:
    matrix = positive(10, 4)
    model = Bare(torch.zeros(10, dtype=torch.float64))
    found = worst_case(model, mean_of(quadratic(matrix)), DATA, rho=0.2, steps=60)
    assert found.value == pytest.approx(0.5 * 0.2**2 * float(torch.linalg.eigvalsh(matrix)[-1]), rel=1e-4)
    assert found.standard_error is None
    assert found.details["relative_length"] == pytest.approx(1)
    assert found.cost == pytest.approx(60 + 2 / 3)


def test_averages_of_a_quadratic() -> None:
    matrix, dimension, rho = positive(10, 4), 10, 0.2
    vector = torch.linspace(-3, 3, 10, dtype=torch.float64)  # the gradient cancels between the signs of a draw
    model, trace = Bare(torch.ones(10, dtype=torch.float64)), float(matrix.trace())
    expected = {
        Average(rho, pairs=400): 0.5 * rho**2 * trace,
        Average(rho, draw="sphere", pairs=400): 0.5 * rho**2 * trace / dimension,
        Average(rho, "linf", pairs=400): 0.5 * rho**2 / 3 * trace,
    }
    for measure, mean in expected.items():
        found = evaluate(measure, Objective.of(model, mean_of(quadratic(matrix, vector)), DATA), seed=1)
        assert found.standard_error is not None
        assert found.standard_error < 0.05 * mean
        assert abs(found.value - mean) < 4 * found.standard_error
    assert found.cost == pytest.approx((2 * 400 + 1) / 3)


def test_the_standard_error_of_an_average_is_its_spread_over_seeds() -> None:
    model, loss = Bare(torch.zeros(10, dtype=torch.float64)), mean_of(quadratic(positive(10, 4)))
    found = [average(model, loss, DATA, rho=0.2, pairs=8, seed=seed) for seed in range(200)]
    errors = [each.standard_error or 0 for each in found]
    spread = statistics.stdev(each.value for each in found)
    # 200 seeds know a standard deviation to 5 %; the root mean square is what is unbiased.
    assert statistics.fmean(error**2 for error in errors) ** 0.5 == pytest.approx(spread, rel=0.2)


def in_units_of_itself(inner: nn.Module) -> nn.Module:
    """The same model in coordinates φ with θ = θ_0 + θ_0·φ, at φ = 0."""
    origin = {name: leaf.detach().clone() for name, leaf in inner.named_parameters()}

    class Chart(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.phi = nn.ParameterList(torch.zeros_like(leaf) for leaf in origin.values())

        def forward(self, x: Tensor) -> Tensor:
            moved = {name: leaf + leaf * phi for (name, leaf), phi in zip(origin.items(), self.phi, strict=True)}
            out: Tensor = torch.func.functional_call(inner, moved, (x,))
            return out

    return Chart()


def test_adaptive_is_plain_in_rescaled_coordinates() -> None:
    model, data = perceptron(), classes()
    chart = in_units_of_itself(model)
    for adaptive, plain in zip(measures("element"), measures("none"), strict=True):
        one = evaluate(adaptive, Objective.of(model, CROSS_ENTROPY, data), seed=2)
        other = evaluate(plain, Objective.of(chart, CROSS_ENTROPY, data), seed=2)
        assert one.value == pytest.approx(other.value, rel=ROUNDING)
        assert one.value > 0


@pytest.mark.parametrize("index", range(5))
def test_who_survives_which_rescaling(index: int) -> None:
    objective = Objective.of(perceptron(), CROSS_ENTROPY, classes())

    def change(adaptive: str, move: Any) -> float:
        found = evaluate(measures(adaptive)[index], objective, seed=3, move=move).change_along_orbit
        assert found is not None
        return found

    assert change("element", scale_units) < ROUNDING
    assert change("element", scale_layers) < ROUNDING
    assert change("filter", scale_layers) < ROUNDING
    assert change("filter", scale_units) > 0.01
    assert change("none", scale_units) > 0.1
    assert change("none", scale_layers) > 0.1


def test_wrong_sizes_are_noticed_along_the_orbit(monkeypatch: pytest.MonkeyPatch) -> None:
    def roots(point: Point, adaptive: str) -> Point:
        return {name: leaf.abs().sqrt() for name, leaf in point.items()}

    objective = Objective.of(perceptron(), CROSS_ENTROPY, classes())
    assert evaluate(WorstCase(0.3, adaptive="element"), objective, seed=3, move=scale_units).invariant is True
    monkeypatch.setattr(worst_case_module, "adaptive_weights", roots)
    assert evaluate(WorstCase(0.3, adaptive="element"), objective, seed=3, move=scale_units).invariant is False
    assert adaptive_module.adaptive_weights(objective.parameters, "none") is None


def test_normalized_logits_are_centred_and_of_length_one() -> None:
    logits = torch.randn(6, 5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for each in (logits, 1e-3 * logits + 7, 1e6 * logits):
        found = normalize_logits(each)
        # The mean 7 costs the digits between it and the differences of 1e-3.
        assert found.sum(dim=-1).abs().max() < 1e-10
        torch.testing.assert_close(found.norm(dim=-1), torch.ones(6, 5, dtype=torch.float64))
        torch.testing.assert_close(found, normalize_logits(logits), rtol=1e-9, atol=1e-9)
    assert torch.equal(normalize_logits(torch.ones(2, 3)), torch.zeros(2, 3))


class Named(nn.Module):
    """Output as Hugging Face models give it."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = perceptron()

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"logits": self.inner(x)}


def test_sharpness_of_normalized_logits_does_not_see_confidence() -> None:
    confident, data = perceptron(), classes()
    with torch.no_grad():
        confident[4].weight.mul_(7)
        confident[4].bias.mul_(7)

    def hidden(name: str) -> bool:
        return not name.startswith("4")

    for call in (worst_case, average):
        for adaptive in ("none", "element"):
            options: dict[str, Any] = {"rho": 0.2, "adaptive": adaptive, "keep": hidden}
            plain, scaled = (call(model, CROSS_ENTROPY, data, **options) for model in (perceptron(), confident))
            assert abs(scaled.value / plain.value - 1) > 0.3
            options["logit_normalized"] = True
            plain, scaled = (call(model, CROSS_ENTROPY, data, **options) for model in (perceptron(), confident))
            assert scaled.value == pytest.approx(plain.value, rel=1e-6)
            assert plain.cost == pytest.approx(20 + 2 / 3 if call is worst_case else 7)
    options = {"rho": 0.2, "logit_normalized": True}
    named = worst_case(Named(), lambda output, target: CROSS_ENTROPY(output["logits"], target), data, **options)
    assert named.value == pytest.approx(worst_case(perceptron(), CROSS_ENTROPY, data, **options).value)


def test_outputs_that_have_no_normalized_logits() -> None:
    x, y = classes()
    two = nn.Linear(5, 2).double()
    with pytest.raises(SharpnessError, match="at least 3 classes"):
        average(two, CROSS_ENTROPY, (x, y % 2), rho=0.1, logit_normalized=True)

    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = perceptron()

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return self.inner(x), x

    with pytest.raises(OptionError, match="without logits"):
        average(Pair(), lambda output, target: CROSS_ENTROPY(output[0], target), (x, y), rho=0.1, logit_normalized=True)


def test_the_maximum_is_taken_batch_by_batch() -> None:
    x, y = classes(30)
    batches = [(x[:10], y[:10]), (x[10:14], y[10:14]), (x[14:], y[14:])]
    options: dict[str, Any] = {"rho": 0.5, "steps": 40}
    alone = [worst_case(perceptron(), CROSS_ENTROPY, each, **options).value for each in batches]
    found = worst_case(perceptron(), CROSS_ENTROPY, batches, **options)
    # Starts differ, so each batch by itself may end a little elsewhere.
    assert found.value == pytest.approx((10 * alone[0] + 4 * alone[1] + 16 * alone[2]) / 30, rel=1e-3)
    assert found.standard_error is not None
    assert found.details["batches"] == 3
    assert found.details["largest"] == pytest.approx(max(alone), rel=1e-3)
    assert found.value > worst_case(perceptron(), CROSS_ENTROPY, (x, y), **options).value
    mean = average(perceptron(), CROSS_ENTROPY, batches, rho=0.1, pairs=5)
    assert mean.details["standard_error_of_draws"] > 0


def test_the_model_is_left_alone_and_seeds_decide() -> None:
    model, data = perceptron().float(), tuple(leaf.float() if leaf.is_floating_point() else leaf for leaf in classes())
    before = {name: leaf.clone() for name, leaf in model.state_dict().items()}
    for norm in ("l2", "linf"):
        for call in (worst_case, average):
            options: dict[str, Any] = {"rho": 0.05, "norm": norm, "adaptive": "filter"}
            first, again, other = (call(model, CROSS_ENTROPY, data, seed=seed, **options) for seed in (0, 0, 1))
            assert first == again
            if call is worst_case:  # two starts may reach one summit
                assert first.value == pytest.approx(other.value, rel=0.1)
            else:
                assert first.value != other.value
    assert all(torch.equal(before[name], leaf) for name, leaf in model.state_dict().items())
    assert all(leaf.grad is None for leaf in model.parameters())


def test_a_rise_within_rounding_is_said_so() -> None:
    model, (x, y) = perceptron().float(), classes()
    data = (x.float(), y)
    for call in (worst_case, average):
        tiny, large = (call(model, CROSS_ENTROPY, data, rho=rho, norm="linf").notes for rho in (1e-8, 0.1))
        assert "roundings of float32" in tiny[0]
        assert large == ()


def test_more_starts_never_find_less() -> None:
    data = classes()
    one, three = (
        worst_case(perceptron(), CROSS_ENTROPY, data, rho=3.0, steps=5, starts=starts).value for starts in (1, 3)
    )
    assert three >= one > 0


def test_a_top_has_no_higher_place() -> None:
    model = Bare(torch.zeros(3, dtype=torch.float64))
    found = worst_case(model, mean_of(lambda v: -(v**2).sum(dim=-1)), DATA, rho=0.1)
    assert found.value == 0
    assert found.details["relative_length"] == 0


def test_options_out_of_range() -> None:
    for make in (
        lambda: WorstCase(0.1, starts=0),
        lambda: Average(0.1, pairs=0),
        lambda: Average(0.1, draw="ball"),  # type: ignore[arg-type]
    ):
        with pytest.raises(OptionError):
            make()
    steep = mean_of(lambda v: torch.exp(1e5 * v[..., 0]))
    with pytest.raises(SharpnessError, match="smaller rho"):
        average(Bare(torch.zeros(1, dtype=torch.float64)), steep, DATA, rho=1.0)
