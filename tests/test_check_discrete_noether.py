"""The check of the discrete Noether law confirms it and refutes laws that lack a term."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType

import array_cases
import pytest
import torch
from array_cases import Tensors
from check_problems import HADAMARD, prediction, wide_regression
from safetensors.torch import load_file
from torch import Tensor

import numeric
import symtheory as st
from numeric.errors import CheckError
from numeric.experiments import discrete_noether as experiment
from numeric.experiments import observables
from numeric.experiments.synthetic import synthetic
from numeric.training.model import as_model

RIGHT = {
    "discrete_noether": lambda point, gradient, eta, weight_decay: {
        "C": (1 - eta * weight_decay) ** 2 * (point["u"] ** 2 - point["v"] ** 2)
        + eta**2 * (gradient["u"] ** 2 - gradient["v"] ** 2)
    },
    "discrete_noether_scale": lambda point, gradient, eta, weight_decay: {
        "C": (1 - eta * weight_decay) ** 2 * (point["u"] ** 2 + point["v"] ** 2)
        + eta**2 * (gradient["u"] ** 2 + gradient["v"] ** 2)
    },
    "discrete_noether_charges": lambda point: {"C": point["u"] ** 2 - point["v"] ** 2},
}
WRONG = {
    "without the term in the gradient": lambda p, g, eta, decay: {
        "C": (1 - eta * decay) ** 2 * (p["u"] ** 2 - p["v"] ** 2)
    },
    "with the opposite sign": lambda p, g, eta, decay: {
        "C": (1 - eta * decay) ** 2 * (p["u"] ** 2 - p["v"] ** 2) - eta**2 * (g["u"] ** 2 - g["v"] ** 2)
    },
    "first order in the weight decay": lambda p, g, eta, decay: {
        "C": (1 - 2 * eta * decay) * (p["u"] ** 2 - p["v"] ** 2) + eta**2 * (g["u"] ** 2 - g["v"] ** 2)
    },
}


@pytest.fixture(scope="module")
def runs() -> tuple[numeric.Runs, ...]:
    return experiment.run(HADAMARD, None, wide_regression(n=8), experiment.Plan(steps=1_200), seed=3).runs


def test_the_law_is_confirmed_to_rounding(runs: tuple[numeric.Runs, ...]) -> None:
    verdict = numeric.check(prediction("discrete_noether", **RIGHT), runs)
    assert verdict.verdict == "confirmed"
    assert verdict.measured < 1e-14  # some 20 rounding errors of 1.1e-16
    assert verdict.n == 2_400
    assert set(verdict.details["residual"]) == {"λ = 0", "λ = 0.1"}


@pytest.mark.parametrize("law", WRONG.values(), ids=WRONG)
def test_a_law_with_a_wrong_term_is_refuted(runs: tuple[numeric.Runs, ...], law: object) -> None:
    wrong = prediction("discrete_noether", **{**RIGHT, "discrete_noether": law})
    assert numeric.check(wrong, runs).verdict == "refuted"


def test_too_few_steps_decide_nothing(runs: tuple[numeric.Runs, ...]) -> None:
    verdict = numeric.check(prediction("discrete_noether", **RIGHT), runs[0])
    assert verdict.verdict == "inconclusive"
    assert "2000 residuals were planned and 1200 recorded" in verdict.details["reason"]


def test_charges_that_do_not_move_put_no_law_to_the_test(runs: tuple[numeric.Runs, ...]) -> None:
    # At θ = 0 the gradient of every loss of u v vanishes: nothing moves, and wrong laws would hold as well.
    still = [
        replace(
            run,
            observables={name: torch.zeros_like(value) for name, value in run.observables.items()},
            final={name: torch.zeros_like(leaf) for name, leaf in run.final.items()},
        )
        for run in runs
    ]
    verdict = numeric.check(prediction("discrete_noether", **RIGHT), still)
    assert verdict.verdict == "inconclusive"
    assert "no charge moved" in verdict.details["reason"]


def test_steps_left_out_are_an_error() -> None:
    run = numeric.train(
        HADAMARD,
        numeric.losses.linear_regression,
        wide_regression(),
        optimizer=numeric.SGD(lr=0.01),
        steps=20,
        initial={"u": torch.ones(6), "v": torch.zeros(6)},
        observables={"point": lambda step: step.point, "gradient": lambda step: step.gradient},
        record_every=2,
    )
    with pytest.raises(CheckError, match="record_every=1"):
        numeric.check(prediction("discrete_noether", **RIGHT), run)


def test_momentum_is_outside_the_prediction() -> None:
    run = numeric.train(
        HADAMARD,
        numeric.losses.linear_regression,
        wide_regression(),
        optimizer=numeric.SGD(lr=0.01, momentum=0.5),
        steps=5,
        initial={"u": torch.ones(6), "v": torch.zeros(6)},
    )
    with pytest.raises(CheckError, match="momentum = 0"):
        numeric.check(prediction("discrete_noether", **RIGHT), run)


# Graphs that are no vectors of coefficients: the module itself is trained, on synthetic data.

GRAPHS = {
    "matrix product": "low_rank",
    "ReLU net with biases": "deep_relu",
    "attention with heads": "multihead_attention",
    "softmax classifier": "softmax_classifier",
}
STEPS = experiment.Plan(steps=1_100)


@cache
def trained(graph: str) -> tuple[numeric.Runs, ...]:
    return experiment.run(array_cases.module(GRAPHS[graph]), None, None, STEPS, seed=5, progress=False).runs


def formulas(graph: str) -> ModuleType:
    return array_cases.declared(GRAPHS[graph]).predictions()["discrete_noether"].load()


def judged(graph: str, runs: object = None, **changed: object) -> numeric.Verdict:
    """The verdict on the derived law, with some of its functions replaced."""
    law = prediction("discrete_noether", GRAPHS[graph], **{**vars(formulas(graph)), **changed})
    return numeric.check(law, trained(graph) if runs is None else runs)


def with_term(graph: str, term: Callable[..., dict[str, Tensor]]) -> Callable[..., dict[str, Tensor]]:
    """The law with something added to it."""

    def law(point: Tensors, gradient: Tensors, eta: float, weight_decay: float) -> dict[str, Tensor]:
        right = formulas(graph).discrete_noether(point, gradient, eta, weight_decay)
        extra = term(point, gradient, eta, weight_decay)
        return {key: value + extra.get(key, 0.0) for key, value in right.items()}

    return law


graphs = pytest.mark.parametrize("graph", GRAPHS)
quadratic = pytest.mark.parametrize("graph", [graph for graph in GRAPHS if graph != "softmax classifier"])


@graphs
def test_the_law_of_a_graph_is_confirmed_to_rounding(graph: str) -> None:
    verdict = judged(graph)
    assert verdict.verdict == "confirmed"
    assert verdict.measured < 1e-14
    assert verdict.n == 2_200
    # A wrong term of order η² in any quadratic charge would stand out of the tolerance by far.
    gradient_terms = verdict.details["gradient_term"]
    assert set(gradient_terms) == set(array_cases.module(GRAPHS[graph]).conserved(trained(graph)[0].initial))
    assert all(term > 1e-7 for key, term in gradient_terms.items() if not key.startswith("translation"))
    assert all(term == 0 for key, term in gradient_terms.items() if key.startswith("translation"))


@quadratic
def test_twice_the_gradient_term_is_refuted(graph: str) -> None:
    charges = formulas(graph).discrete_noether_charges
    for wrong in charges(trained(graph)[0].initial):
        if wrong.startswith("translation"):
            continue
        law = with_term(graph, lambda p, g, eta, decay, key=wrong: {key: eta**2 * charges(g)[key]})
        verdict = judged(graph, discrete_noether=law)
        assert verdict.verdict == "refuted"
        assert verdict.measured > 1e-7


def test_the_decay_of_a_quadratic_charge_is_refuted_for_a_linear_one() -> None:
    graph = "softmax classifier"
    charges = formulas(graph).discrete_noether_charges

    def term(p: Tensors, g: Tensors, eta: float, decay: float) -> dict[str, Tensor]:
        kept = 1 - eta * decay
        return {key: (kept**2 - kept) * value for key, value in charges(p).items()}

    verdict = judged(graph, discrete_noether=with_term(graph, term))
    assert verdict.verdict == "refuted"
    assert verdict.measured > 1e-5


@graphs
def test_a_charge_with_one_sign_wrong_is_refuted(graph: str) -> None:
    """The law and the charges that it is about, both with the sign of one parameter's term turned."""
    right = formulas(graph)
    is_linear = graph == "softmax classifier"
    wrong = {"low_rank": "H", "deep_relu": "b2", "multihead_attention": "Wo", "softmax_classifier": "W"}[GRAPHS[graph]]

    def charges(point: Tensors) -> dict[str, Tensor]:
        if is_linear:  # the score of one class counts with a minus
            leaf = point[wrong].clone()
            leaf[..., 0, :] *= -1
            return right.discrete_noether_charges({**point, wrong: leaf})
        alone = right.discrete_noether_charges(
            {key: leaf if key == wrong else torch.zeros_like(leaf) for key, leaf in point.items()}
        )
        return {key: value - 2 * alone[key] for key, value in right.discrete_noether_charges(point).items()}

    def law(point: Tensors, gradient: Tensors, eta: float, weight_decay: float) -> dict[str, Tensor]:
        kept, before, jump = 1 - eta * weight_decay, charges(point), charges(gradient)
        return {
            key: kept * value if key.startswith("translation") else kept**2 * value + eta**2 * jump[key]
            for key, value in before.items()
        }

    verdict = judged(graph, discrete_noether=law, discrete_noether_charges=charges)
    assert verdict.verdict == "refuted"
    assert verdict.measured > 1e-5


@graphs
def test_a_run_with_momentum_is_refused_and_would_be_refuted(graph: str) -> None:
    model = as_model(array_cases.module(GRAPHS[graph]))
    problem = synthetic(model, samples=32, noise=0.5, deviation=0.5, seed=5)
    run = numeric.train(
        model.module,
        problem.loss,
        problem.data,
        optimizer=numeric.SGD(lr=0.005, batch_size=4, momentum=0.5, weight_decay=0.1),
        steps=30,
        initial=problem.initial,
        observables={"point": observables.point, "gradient": observables.gradient},
        record_every=1,
    )
    with pytest.raises(CheckError, match=r"assumes momentum = 0, and the run had 0\.5"):
        judged(graph, run)
    silent = {**run.config, "optimizer": {**run.config["optimizer"], "momentum": 0.0}}
    assert judged(graph, replace(run, config=silent)).verdict == "refuted"


def test_a_charge_that_does_not_move_is_not_confirmed_beside_one_that_does() -> None:
    graph = "softmax classifier"
    still = [
        replace(
            run,
            observables={
                key: torch.zeros_like(value) if key == "point.b" else value for key, value in run.observables.items()
            },
            final={**run.final, "b": torch.zeros_like(run.final["b"])},
        )
        for run in trained(graph)
    ]
    verdict = judged(graph, still)
    assert verdict.verdict == "inconclusive"
    assert "the charge translation2 did not move" in verdict.details["reason"]


def test_decide_trains_a_network_and_saves_its_constants(tmp_path: Path) -> None:
    lora = array_cases.declared("lora")
    decision = numeric.experiments.decide(
        lora.predictions()["discrete_noether"], array_cases.module("lora"), folder=tmp_path, seed=2
    )
    assert decision.verdict.verdict == "confirmed"
    assert decision.verdict.n == 5_000
    assert load_file(tmp_path / "constants.safetensors")["W0"].shape == (4, 3)
    again = numeric.Runs.load(tmp_path / "run_2", array_cases.module("lora"))
    assert numeric.check(lora.predictions()["discrete_noether"], again).to_json()["measured"] < 1e-14


def test_a_network_that_diverges_is_inconclusive() -> None:
    G, H = st.param("G", 3, 2), st.param("H", 3, 2)
    steep = st.Parametrization(1_000 * (G @ H.T), name="steep")
    decision = numeric.experiments.decide(steep.predictions()["discrete_noether"], st.generate(steep))
    assert decision.experiment is None
    assert decision.verdict.verdict == "inconclusive"
    assert "diverged at step" in decision.verdict.details["reason"]


def test_a_model_too_large_to_record_is_inconclusive() -> None:
    G, H = st.param("G", 3_000, 2), st.param("H", 3_000, 2)
    large = st.Parametrization(G @ H.T, name="large")
    verdict = numeric.experiments.decide(large.predictions()["discrete_noether"], st.generate(large)).verdict
    assert verdict.verdict == "inconclusive"
    assert "12,000 parameters: choose smaller sizes" in verdict.details["reason"]
