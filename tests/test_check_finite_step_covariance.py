"""The check of the covariance at a finite step confirms it and refutes continuous time and wrong factors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from types import ModuleType, SimpleNamespace
from typing import Any

import array_cases
import pytest
import torch
from check_problems import prediction
from torch import Tensor

import numeric
import symtheory as st
from numeric.comparison.mechanisms.local_quadratic import local_quadratic, training_loss
from numeric.errors import CheckError
from numeric.experiments import Experiment, observables
from numeric.experiments import finite_step_covariance as experiment
from numeric.experiments.finite_step_covariance import Plan, relaxation_time
from numeric.flat_points import flattened
from numeric.losses import squared_error

LAYER = Plan(settings=((0.5, 0.0), (1.5, 0.0), (1.5, 0.6)), fluctuations=(0.1,), samples=10, replicas=500)
CURVED = Plan(settings=((1.5, 0.0),), samples=10, size=3, replicas=800)


def layer() -> st.Parametrization:
    d, k = st.dims("d k")
    graph = st.Parametrization(st.param("W", k, d) @ st.input("x", d) + st.param("b", k), name="layer")
    return graph.bind(d=2, k=2)


def product() -> st.Parametrization:
    d = st.dims("d")
    return st.Parametrization(st.param("u", d) * st.param("v", d), name="product")


DECLARED = {"layer": layer, "product": product}


@cache
def formulas(graph: str) -> ModuleType:
    return DECLARED[graph]().predictions()["finite_step_covariance"].load()


@cache
def done(graph: str) -> Experiment:
    module = st.generate(DECLARED[graph]()).load()
    return experiment.run(module, None, None, {"layer": LAYER, "product": CURVED}[graph], seed=3, progress=False)


def judged(graph: str, runs: Any = None, data: Any = None, **changed: Callable[..., Tensor]) -> numeric.Verdict:
    """The verdict on the derived covariance, with some of its functions replaced."""
    law = prediction("finite_step_covariance", graph, **{**vars(formulas(graph)), **changed})
    return numeric.check(law, done(graph).runs if runs is None else runs, data or done(graph).data)


def test_an_affine_graph_is_confirmed_exactly_where_continuous_time_is_refuted() -> None:
    verdict = judged("layer")
    assert verdict.verdict == "confirmed"
    assert len(verdict.details["parts"]) == 3
    assert max(verdict.details["curvature_change"]) < 1e-12
    assert all(verdict.details["continuous_refuted"])


@pytest.mark.parametrize("graph", DECLARED)
def test_continuous_time_is_refuted(graph: str) -> None:
    assert judged(graph, finite_step_covariance=formulas(graph).finite_step_covariance_continuous).verdict == "refuted"


@pytest.mark.parametrize("graph", DECLARED)
def test_twice_the_covariance_is_refuted(graph: str) -> None:
    right = formulas(graph).finite_step_covariance
    assert judged(graph, finite_step_covariance=lambda *arguments: 2 * right(*arguments)).verdict == "refuted"


def test_momentum_left_out_is_refuted() -> None:
    right = formulas("layer").finite_step_covariance
    verdict = judged("layer", finite_step_covariance=lambda H, C, eta, decay, momentum: right(H, C, eta, decay))
    assert verdict.verdict == "refuted"
    assert "μ = 0.6" in verdict.details["decided_by"]


def test_a_curved_graph_is_confirmed_in_the_limit_of_vanishing_noise() -> None:
    verdict = judged("product")
    assert verdict.verdict == "confirmed"
    assert 1e-3 < min(verdict.details["curvature_change"]) < max(verdict.details["curvature_change"]) < 0.5
    assert all(verdict.details["continuous_refuted"])
    assert judged("product", done("product").runs[:2]).verdict == "inconclusive"


def test_fluctuations_that_leave_the_quadratic_loss_decide_nothing() -> None:
    module = st.generate(product()).load()
    wide = replace(CURVED, fluctuations=(0.3,), departure=1.0, settings=((0.5, 0.0),), replicas=100)
    made = experiment.run(module, None, None, wide, seed=3, progress=False)
    verdict = judged("product", made.runs, made.data)
    assert verdict.verdict == "inconclusive"
    assert "use less label noise" in verdict.details["reason"]


def trained(
    optimizer: numeric.SGD, start: dict[str, Tensor], steps: int = 200, every: int = 20, replicas: int = 800
) -> numeric.Runs:
    """The layer on the data of its experiment, recorded after half the steps."""
    return numeric.train(
        done("layer").runs[0].module,
        squared_error,
        done("layer").data,
        optimizer=optimizer,
        steps=steps,
        replicas=replicas,
        seed=8,
        initial=start,
        observables={"point": observables.point, "gradient": observables.gradient},
        record_at=list(range(steps // 2, steps, every)),
    )


def minimum() -> dict[str, Tensor]:
    return {name: leaf[0] for name, leaf in done("layer").runs[0].initial.items()}


def test_minibatches_are_not_additive() -> None:
    verdict = judged("layer", trained(numeric.SGD(lr=0.2, batch_size=2, label_noise=0.3), minimum()))
    assert verdict.verdict == "inconclusive"
    assert "the gradient noise is not additive: 1." in verdict.details["reason"]
    assert verdict.details["ratio"][0].mean() > 1.02  # and the covariance is larger for it
    wild = judged("layer", trained(numeric.SGD(lr=0.6, batch_size=2, label_noise=0.3), minimum()))
    assert "not known to be additive" in wild.details["reason"]


@pytest.mark.parametrize("batch", [None, 2])
def test_gradient_noise_is_that_of_one_batch(batch: int | None) -> None:
    start = {**minimum(), "b": minimum()["b"] + 0.3}  # beside the minimum: the samples' gradients differ
    run = trained(numeric.SGD(lr=0.1, batch_size=batch, label_noise=0.3), start, steps=1, replicas=20_000)
    loss = training_loss(run, done("layer").data)
    gradients = flattened({name: run.observables[f"gradient.{name}"][0] for name in start}, 1)
    expected = local_quadratic(loss, run).noise
    torch.testing.assert_close(gradients.T.cov(), expected, rtol=0, atol=0.05 * float(expected.diagonal().max()))


def test_a_start_beside_the_minimum_decides_nothing() -> None:
    start = minimum()
    run = trained(numeric.SGD(lr=0.5, label_noise=0.3), {**start, "b": start["b"] + 0.1})
    verdict = judged("layer", run)
    assert verdict.verdict == "inconclusive"
    assert "deviations away from a minimum" in verdict.details["reason"]


def test_records_before_stationarity_decide_nothing() -> None:
    run = trained(numeric.SGD(lr=0.02, label_noise=0.3), minimum(), steps=40, every=2)
    verdict = judged("layer", run)
    assert verdict.verdict == "inconclusive"
    assert "still drifts" in verdict.details["reason"]


def test_weight_decay_counts_as_curvature() -> None:
    data, decay = done("layer").data, 0.5
    x = torch.cat([data["x"], torch.ones(len(data["x"]), 1, dtype=torch.float64)], dim=1)
    ridge = torch.linalg.solve(x.T @ x / len(x) + decay * torch.eye(3, dtype=torch.float64), x.T @ data["y"] / len(x))
    run = trained(numeric.SGD(lr=0.5, label_noise=0.5, weight_decay=decay), {"W": ridge[:2].T, "b": ridge[2]})
    assert judged("layer", run).verdict == "confirmed"
    right = formulas("layer").finite_step_covariance
    wrong = judged("layer", run, finite_step_covariance=lambda H, C, eta, decay, momentum: right(H, C, eta))
    assert wrong.verdict == "refuted"


def test_what_cannot_be_checked_is_an_error() -> None:
    runs = done("layer").runs[0]
    scattered = {
        name: leaf + torch.arange(len(leaf)).view(-1, *[1] * (leaf.ndim - 1)) for name, leaf in runs.initial.items()
    }
    with pytest.raises(CheckError, match="start at different points"):
        judged("layer", replace(runs, initial=scattered))
    with pytest.raises(CheckError, match=r"a loss of numeric\.losses, and the run used mine\.loss"):
        judged("layer", replace(runs, config={**runs.config, "loss": "mine.loss"}))
    with pytest.raises(CheckError, match="carry no module"):
        judged("layer", replace(runs, module=None))
    with pytest.raises(CheckError, match="label_noise > 0"):
        judged("layer", trained(numeric.SGD(lr=0.5), minimum()))


def test_constants_are_read_from_the_data() -> None:
    lora = array_cases.declared("lora")
    small = Plan(settings=((1.0, 0.0),), samples=4, replicas=50, snapshots=4)
    made = experiment.run(array_cases.module("lora"), None, None, small, seed=2, progress=False)
    law = lora.predictions()["finite_step_covariance"]
    assert numeric.check(law, made.runs, made.data).details["ratio"][0].mean() == pytest.approx(1, abs=0.4)
    with pytest.raises(CheckError, match=r"needs data\['W0'\]"):
        numeric.check(law, made.runs, {key: value for key, value in made.data.items() if key != "W0"})


def test_relaxation_time_is_that_of_the_slowest_mode() -> None:
    for steepness, momentum in ((0.3, 0.0), (1.8, 0.0), (0.05, 0.5), (1.4, 0.6)):
        step = torch.tensor([[1 - steepness, -momentum], [steepness, momentum]], dtype=torch.float64)
        radius = torch.linalg.eigvals(step).abs().max()
        assert relaxation_time((steepness, 0.9), momentum) >= -1 / float(radius.log()) - 1e-9
        assert relaxation_time((steepness,), momentum) == pytest.approx(-1 / float(radius.log()))


def test_a_graph_without_curvature_is_an_error() -> None:
    flat = SimpleNamespace(
        NAME="flat", PARAMETERS={"u": ()}, INPUTS={}, DECLARATION_HASH="0" * 16, predictor=lambda p: 0 * p["u"]
    )
    with pytest.raises(CheckError, match="there is no minimum"):
        experiment.run(flat, None, progress=False)


def test_the_opposite_sign_is_refuted() -> None:
    right = formulas("layer").finite_step_covariance
    verdict = judged("layer", finite_step_covariance=lambda *arguments: -right(*arguments))
    assert verdict.verdict == "refuted"
    assert verdict.predicted < 0 < verdict.measured
