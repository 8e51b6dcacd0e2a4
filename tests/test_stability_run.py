"""Runs at the edge of stability: the training itself, its records, and what is said of them."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from numeric.errors import CheckError, DataError, OptionError
from numeric.sharpness import Objective
from numeric.sharpness.gradient_noise.batch_sharpness import batch_sharpness
from numeric.sharpness.second_order import second_order
from numeric.stability import Descent, EdgeRun, Plan, answer, forecast, run_edge
from numeric.stability.batch_curvature import batch_curvature
from numeric.stability.descent import draw
from numeric.stability.forecast import judged
from numeric.stability.generated import sharpness_gap
from numeric.stability.power_law import power_law
from numeric.stability.run import MEASURED
from numeric.stability.series import error_of_mean, of_means
from numeric.stability.whole_batch import whole_batch

# A valley of curvature 40 + 3s whose floor falls by s/2: α = 1.5, β = 9; at η = 0.02 the edge is 100, at s = 20.
ETA, CURVATURE, SLOPE, PULL = 0.02, 40.0, 3.0, 0.5
ALPHA, BETA, EDGE = PULL * SLOPE, SLOPE**2, 2 / ETA


GENERATOR = torch.Generator().manual_seed(6)


class Valley(nn.Module):
    def __init__(self, x: float, s: float, pull: float = PULL) -> None:
        super().__init__()
        self.x = nn.Parameter(torch.tensor(x, dtype=torch.float64))
        self.s = nn.Parameter(torch.tensor(s, dtype=torch.float64))
        self.pull = pull

    def forward(self, noise: Tensor) -> Tensor:
        return (CURVATURE + SLOPE * self.s) * self.x**2 / 2 - self.pull * self.s + noise * self.x


def itself(output: Tensor, target: Tensor) -> Tensor:
    return output.mean()


def noise(deviation: float, samples: int = 64) -> tuple[Tensor, Tensor]:
    drawn = torch.randn(samples, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    drawn = deviation * (drawn - drawn.mean()) / drawn.std(correction=0)
    return drawn, drawn


@pytest.fixture(scope="module")
def at_edge() -> EdgeRun:
    """σ_u² = 80: the forecast is 2.4 to leading order, twice the standard deviation of y."""
    model = Valley(0.3, (EDGE - 2.4 - CURVATURE) / SLOPE)
    return run_edge(model, itself, noise(80**0.5), Descent(ETA, 1), Plan(9000, 41, batches=1), seed=1, progress=False)


def doubled(made: Any) -> SimpleNamespace:
    """The functions with every forecast off by a factor 2, the identity left as it is."""
    wrong = {name: value for name, value in vars(made).items() if name.startswith("sharpness_gap")}
    wrong["sharpness_gap"] = lambda *numbers: 2 * made.sharpness_gap(*numbers)
    wrong["sharpness_gap_corrected"] = lambda *numbers: 2 * made.sharpness_gap_corrected(*numbers)
    return SimpleNamespace(**wrong)


def test_the_forecast_holds_where_the_normal_form_does(at_edge: EdgeRun) -> None:
    found = answer(forecast(at_edge, sharpness_gap, window=0.9))
    assert found.outcome == "forecast holds", found.sentence
    assert found.normal_form is True
    assert found.forecast.alpha.value == pytest.approx(ALPHA, rel=1e-3)
    assert found.forecast.beta.value == pytest.approx(BETA, rel=1e-3)
    assert found.forecast.noise.value == pytest.approx(80, rel=1e-6)
    assert found.forecast.balance.value == pytest.approx(1, abs=4 * found.forecast.balance.standard_error)
    assert found.forecast.conditions["drift_noise"] == pytest.approx(0, abs=1e-9)
    assert found.to_json()["measured_over_forecast"]["identity"]["value"] == pytest.approx(1, abs=0.1)


def test_a_wrong_formula_is_off_and_the_identity_says_so(at_edge: EdgeRun) -> None:
    found = answer(forecast(at_edge, doubled(sharpness_gap), window=0.9))
    assert found.outcome == "forecast off", found.sentence
    assert found.normal_form is True


def test_noise_along_the_gradient_of_sharpness_counts_as_the_curvature_there_leaves_it(at_edge: EdgeRun) -> None:
    """η σ_s²/2α = 10·0.02/3 without curvature, 2α/(2α + c² + 2c gap) of it with c = 3."""
    noisy = {**at_edge.records, "drift_noise": torch.full_like(at_edge.records["alpha"], 10.0)}
    found = []
    for curvature in (0.0, 3.0):
        records = {**noisy, "curvature_along": torch.full_like(noisy["alpha"], curvature)}
        found.append(forecast(replace(at_edge, records=records), sharpness_gap, window=0.9))
    base = forecast(at_edge, sharpness_gap, window=0.9)
    left = 2 * ALPHA / (2 * ALPHA + 9 + 6 * base.forecasts["leading"].value)
    for name in ("corrected", "identity"):
        free, kept = (one.forecasts[name].value - base.forecasts[name].value for one in found)
        assert free == pytest.approx(ETA * 10 / 2 / ALPHA, rel=1e-3)
        assert kept == pytest.approx(left * free, rel=1e-2)
    conditions = [one.conditions["drift_noise"] for one in found]
    assert conditions[1] == pytest.approx(left * conditions[0], rel=1e-2)


def test_momentum_and_weight_decay_together() -> None:
    """μ = 0.5, λ = 0.005: the next order counts, the identity holds, and forgetting 1/(1 − μ) is off."""
    mu, decay, gap = 0.5, 0.005, 2.4
    lr = 2 * (1 + mu) / EDGE
    s = (EDGE - decay - gap - CURVATURE) / SLOPE
    alpha = (PULL - decay * s) * SLOPE
    variance = gap * 4 * alpha * (1 - mu) / (lr * BETA)
    descent = Descent(lr, 1, momentum=mu, weight_decay=decay)
    run = run_edge(Valley(0.3, s), itself, noise(variance**0.5), descent, Plan(4000, 21, batches=0), progress=False)
    found = answer(forecast(run, sharpness_gap, window=0.9))
    assert found.forecast.edge == pytest.approx(EDGE)
    assert found.forecast.alpha.value == pytest.approx(alpha, rel=0.01)
    assert found.outcome == "forecast holds", found.sentence
    assert found.normal_form is True
    assert found.forecast.conditions["corrections"] > 0.1
    wrong = SimpleNamespace(**vars(sharpness_gap))
    wrong.sharpness_gap_corrected = lambda *numbers: sharpness_gap.sharpness_gap_corrected(*numbers[:-1], 0.0)
    assert answer(forecast(run, wrong, window=0.9)).outcome == "forecast off"
    still = replace(run, records={**run.records, "velocity": torch.zeros_like(run.records["velocity"])})
    assert answer(forecast(still, sharpness_gap, window=0.9)).normal_form is not True


def test_without_noise_the_sharpness_is_at_the_edge() -> None:
    model = Valley(0.3, (EDGE - CURVATURE) / SLOPE)
    run = run_edge(model, itself, noise(1.0), Descent(ETA), Plan(3000, 21, batches=0), progress=False)
    found = answer(forecast(run, sharpness_gap, window=0.9))
    assert found.outcome == "forecast holds", found.sentence
    assert "no noise" in found.sentence


def test_where_something_else_takes_back_the_sharpening_the_forecast_cannot_hold(at_edge: EdgeRun) -> None:
    """x halved: a quarter of α is taken back. S forty further below the edge: held there by whatever else."""
    halved = {**at_edge.records, "position": at_edge.records["position"] / 2}
    found = answer(forecast(replace(at_edge, records=halved), sharpness_gap, window=0.9))
    assert found.outcome == "undecided", found.sentence
    assert re.search(r"oscillation along u takes back 2\d% of the sharpening", found.sentence)
    below = {**halved, "floor_sharpness": halved["floor_sharpness"] - 40}
    found = answer(forecast(replace(at_edge, records=below), sharpness_gap, window=0.9))
    assert found.outcome == "undecided", found.sentence
    assert re.search(r"^undecided: S stands still, 42% below the edge", found.sentence)
    more = {**at_edge.records, "position": at_edge.records["position"] * 2}
    found = answer(forecast(replace(at_edge, records=more), sharpness_gap, window=0.9))
    assert found.outcome != "forecast holds" and "times what the sharpening gives" in found.sentence


def test_where_sharpening_is_not_known_nothing_is_said(at_edge: EdgeRun) -> None:
    inside = at_edge.steps < 500
    records = {name: values[inside] for name, values in at_edge.records.items()}
    short = replace(at_edge, steps=at_edge.steps[inside], records=records, step=500)
    noisy = replace(short, records={**records, "alpha": torch.randn(len(short.steps), generator=GENERATOR).double()})
    found = answer(forecast(noisy, sharpness_gap, window=1.0))
    assert found.outcome == "undecided"
    assert "not known to differ from zero" in found.sentence


def test_not_at_the_edge() -> None:
    """Too small a step: S rises as α says. A floor that rises: training does not sharpen."""
    for pull, words in ((PULL, "still moves at +100%"), (-PULL, "does not sharpen")):
        model = Valley(0.01, 3.0, pull)
        run = run_edge(model, itself, noise(0.1), Descent(ETA, 2), Plan(300, 11, batches=0), progress=False)
        found = answer(forecast(run, sharpness_gap))
        assert found.outcome == "not at the edge"
        assert words in found.sentence
        assert found.forecast.rise == pytest.approx(1, abs=0.05)
    with pytest.raises(CheckError, match="measurements"):
        forecast(run, sharpness_gap, window=0.1)


def net() -> tuple[nn.Module, tuple[Tensor, Tensor]]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).double()
    return model, (torch.randn(24, 4, dtype=torch.float64), torch.arange(24) % 3)


def test_steps_are_those_of_torch() -> None:
    model, data = net()
    descent = Descent(0.1, 6, momentum=0.7, weight_decay=0.01)
    found = run_edge(model, nn.CrossEntropyLoss(), data, descent, Plan(9, 4), seed=3, progress=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.7, weight_decay=0.01)
    for step in range(9):
        rows = draw(24, 6, 3, step, "batch of a step")
        optimizer.zero_grad()
        nn.CrossEntropyLoss()(model(data[0][rows]), data[1][rows]).backward()
        optimizer.step()
    for name, leaf in model.named_parameters():
        assert torch.allclose(found.parameters[name], leaf, rtol=1e-12, atol=1e-13)
    assert found.steps.tolist() == [0, 4, 8]
    assert found.edge == pytest.approx(2 * 1.7 / 0.1)
    assert set(found.records) == set(MEASURED)


def test_batches_are_drawn_without_replacement_by_seed_and_step() -> None:
    rows = draw(10, 10, 0, 5, "a")
    assert sorted(rows.tolist()) == list(range(10))
    assert torch.equal(rows, draw(10, 10, 0, 5, "a"))
    assert not torch.equal(rows, draw(10, 10, 0, 6, "a"))


@pytest.mark.parametrize("length", [20, 90, 101, 4000])
@pytest.mark.parametrize("window", [0.1, 0.5, 1.0])
def test_how_often_to_measure_is_said_before_training(length: int, window: float) -> None:
    with pytest.raises(CheckError, match="measurements, 10 are needed") as raised:
        judged(Plan(length, length).measured, length, window)
    often = re.search(r"measure every (\d+) steps at most", str(raised.value))
    if often is None:
        assert window * length / 10 < 2
    else:
        assert int(judged(Plan(length, int(often[1])).measured, length, window).sum()) >= 10
    for wrong in (0.0, -0.5, 1.5, math.nan):
        with pytest.raises(OptionError, match="window"):
            judged(Plan(length).measured, length, wrong)


def test_data_that_are_fitted_exactly_are_undecided() -> None:
    model, (inputs, _) = net()
    data = (inputs, model(inputs).detach())
    run = run_edge(model, nn.MSELoss(), data, Descent(0.1, 4), Plan(60, 3), progress=False)
    found = answer(forecast(run, sharpness_gap))
    assert found.outcome == "undecided"
    assert "α = 0 ± 0" in found.sentence


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (None, "'NoneType' object is not iterable"),
        ((torch.ones(2, 1) / (2 - k) for k in range(3)), "a batch is a Tensor"),
        (({}["samples"] for _ in range(3)), "KeyError: 'samples'"),
        ([(torch.ones(2, 3), torch.ones(2)), (torch.ones(2, 4), torch.ones(2))], "differ in more than their length"),
    ],
)
def test_data_of_no_use_are_told_in_one_line(data: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        whole_batch(data)


@pytest.mark.parametrize("options", [{"lr": math.inf}, {"lr": 0.1, "weight_decay": math.nan}])
def test_a_step_is_a_finite_number(options: dict[str, float]) -> None:
    with pytest.raises(OptionError, match="choose a positive step"):
        Descent(**options)


def test_a_run_that_diverges_says_when() -> None:
    model, data = net()
    run = run_edge(model, nn.MSELoss(), (data[0], torch.randn(24, 3).double()), Descent(1e3), Plan(200, 50))
    assert run.diverged_at is not None
    assert run.step <= run.diverged_at + 1


def test_data_in_chunks_give_the_same_records() -> None:
    model, data = net()
    runs = [
        run_edge(model, nn.CrossEntropyLoss(), data, Descent(0.1, 6), Plan(5, 4, chunk=chunk), progress=False)
        for chunk in (None, 7)
    ]
    for name in ("floor_sharpness", "alpha", "beta", "noise", "position", "full_hessian"):
        assert torch.allclose(runs[0].records[name], runs[1].records[name], rtol=1e-2), name
    assert not torch.equal(runs[0].records["units"], runs[1].records["units"])


def test_batch_sharpness_is_that_of_the_measures() -> None:
    model, (x, y) = net()
    parts = [(x[k : k + 6], y[k : k + 6]) for k in range(0, 24, 6)]
    wanted = batch_sharpness(model, nn.CrossEntropyLoss(), parts, average="full_hessian").details
    objective = Objective.of(model, nn.CrossEntropyLoss(), parts)
    found = batch_curvature(objective, second_order(objective), list(objective.batches()))
    for name, value in found.items():
        assert value == pytest.approx(wanted[name], rel=1e-10), name


def test_options_out_of_range() -> None:
    for wrong in ({"lr": 0.0}, {"lr": 0.1, "batch_size": 0}, {"lr": 0.1, "momentum": 1.0}):
        with pytest.raises(OptionError):
            Descent(**wrong)  # type: ignore[arg-type]
    with pytest.raises(OptionError):
        Plan(10, every=0)
    model, data = net()
    with pytest.raises(OptionError, match="24 samples"):
        run_edge(model, nn.CrossEntropyLoss(), data, Descent(0.1, 25), Plan(3))
    with pytest.raises(DataError):
        whole_batch([])
    x, y = whole_batch([data, data])
    assert x.shape == (48, 4)
    assert y.shape == (48,)


def autoregression(coefficient: float, length: int, count: int) -> Tensor:
    generator = torch.Generator().manual_seed(9)
    series = torch.zeros(length, count, dtype=torch.float64)
    for k in range(1, length):
        series[k] = coefficient * series[k - 1] + torch.randn(count, generator=generator, dtype=torch.float64)
    return series[50:]


def test_errors_know_the_autocorrelation() -> None:
    """Over 300 series of 8 relaxation times and more, the 95 % interval holds the truth in at least 85 % of cases; that
    of independent samples in less than 60 %."""
    series = autoregression(0.9, 450, 300)
    means, length = series.mean(0), len(series)
    errors = torch.tensor([error_of_mean(series[:, k]) for k in range(300)], dtype=torch.float64)
    assert float((means.abs() < 1.96 * errors).double().mean()) > 0.85
    naive = series.std(0) / length**0.5
    assert float((means.abs() < 1.96 * naive).double().mean()) < 0.6
    assert error_of_mean(torch.ones(20)) == 0
    assert error_of_mean(torch.arange(4.0)) == math.inf


def test_a_function_of_means_to_first_order() -> None:
    """The quotient of two series, each with the same noise: it cancels."""
    base = autoregression(0.5, 2050, 1)[:, 0]
    series = torch.stack([10 + base, 20 + 2 * base], dim=1)
    found = of_means(lambda means: means[1] / means[0], series)
    assert found.value == pytest.approx(2)
    assert found.standard_error < 1e-12


def test_a_power_law_with_its_interval() -> None:
    x = [1 / b for b in (8, 16, 32, 64)]
    found = power_law(x, [3 * value**1.27 for value in x])
    assert found.slope == pytest.approx(1.27)
    assert found.r_squared == pytest.approx(1)
    assert found.half_width < 1e-6
    with pytest.raises(CheckError):
        power_law([1.0, 2.0], [1.0, 2.0])
