"""The check confirms modified losses on real training, tells the two kinds of epoch apart, and refutes wrong ones."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from check_problems import wide_regression

import numeric
import symtheory as st
from numeric.comparison.mechanisms.modified_loss import _bend, _descent, _kinked
from numeric.comparison.verdict import Verdict
from numeric.errors import CheckError
from numeric.experiments import modified_loss as experiment
from numeric.experiments.experiment import Experiment
from numeric.training.model import as_model
from symtheory import catalog

PLAN = experiment.Plan(replicas=8_000)


@cache
def formulas() -> dict[str, Callable[..., Any]]:
    module = catalog.load("hadamard").predictions()["modified_loss"].load()
    return {name: found for name, found in vars(module).items() if name.startswith("modified_loss")}


@cache
def trained() -> Experiment:
    module = st.generate(catalog.load("hadamard")).load()
    data = wide_regression(n=8, d=3)
    return experiment.run(module, SimpleNamespace(**formulas()), data, PLAN, seed=5, progress=False)


def judged(**wrong: Callable[..., Any]) -> Verdict:
    functions = SimpleNamespace(**{**formulas(), **wrong})
    prediction = SimpleNamespace(mechanism="modified_loss", parametrization="hadamard", load=lambda: functions)
    return numeric.check(prediction, trained().runs, trained().data)


def parts(verdict: Verdict) -> dict[str, str]:
    return {name: part["verdict"] for name, part in verdict.details["parts"].items()}


def with_step(name: str, factor: float) -> dict[str, Callable[..., Any]]:
    """The function with another factor in the place of 1 in front of η."""
    right = formulas()[name]
    return {name: lambda loss, point, eta: right(loss, point, factor * eta)}


def test_the_derived_losses_are_confirmed_and_the_rivals_refuted() -> None:
    verdict = judged()
    assert verdict.verdict == "confirmed", verdict
    assert {name: rival["verdict"] for name, rival in verdict.details["rival"].items()} == {
        "shuffled epoch": "refuted",
        "epoch with replacement": "refuted",
    }
    assert verdict.details["smooth"] == PLAN.starts


@pytest.mark.parametrize("factor", [2.0, -1.0], ids=["eta/2", "sign"])
def test_a_wrong_factor_is_refuted(factor: float) -> None:
    shuffled = with_step("modified_loss_shuffled_field", factor)
    found = parts(judged(**with_step("modified_loss_field", factor), **shuffled))
    assert found["flow of the modified loss"] == found["epoch with replacement"] == "refuted"
    assert found["shuffled epoch"] == "refuted"
    assert found["flow of L"] == found["with the next term"] == "confirmed"


def test_swapped_epochs_and_a_missing_term_are_refuted() -> None:
    plain = formulas()["modified_loss_field"]
    found = parts(
        judged(
            modified_loss_second_order=plain,
            modified_loss_shuffled_field=lambda losses, point, eta: plain(
                lambda moved: losses(moved).mean(0), point, eta
            ),
        )
    )
    assert found["with the next term"] == found["shuffled epoch"] == "refuted"
    assert found["flow of the modified loss"] == found["epoch with replacement"] == "confirmed"


def test_a_kink_on_the_way_is_inconclusive() -> None:
    """|x·w| has its kink where gradient descent arrives: no start is left that would show the order."""
    kinked = SimpleNamespace(
        NAME="kinked",
        PARAMETERS={"w": (1,)},
        INPUTS={},
        DECLARATION_HASH="0" * 16,
        predictor=lambda point: point["w"].abs() + torch.relu(0.9 - point["w"]) + 0.5 * point["w"],
    )
    functions = SimpleNamespace(**_fields("w"))
    data = {"y": torch.zeros(8, 1, dtype=torch.float64)}
    start = {"w": torch.tensor([1.0], dtype=torch.float64)}
    runs = [
        numeric.train(
            kinked,
            numeric.losses.coefficient_error,
            data,
            optimizer=numeric.GradientDescent(lr=lr),
            steps=round(0.8 / lr),
            initial=start,
        )
        for lr in (0.2, 0.1, 0.05)
    ]
    verdicts, details = _descent(functions, runs, data)
    assert details["smooth"] == 0
    assert all(verdict.verdict == "inconclusive" for verdict in verdicts.values())


def absolute_value() -> SimpleNamespace:
    return SimpleNamespace(
        NAME="kinked", PARAMETERS={"w": (1,)}, INPUTS={}, DECLARATION_HASH="0" * 16, predictor=lambda p: p["w"].abs()
    )


def test_an_epoch_across_a_kink_is_inconclusive() -> None:
    """|w| has its kink at 0: an epoch from 0.01 jumps over it, one from 1 does not get there."""
    kinked = absolute_value()
    data = {"y": -1 - 0.1 * torch.arange(8, dtype=torch.float64).unsqueeze(1)}
    bends = {}
    for start in (1.0, 0.01):
        run = numeric.train(
            kinked,
            numeric.losses.coefficient_error,
            data,
            optimizer=numeric.SGD(lr=0.02, batch_size=2),
            steps=4,
            replicas=16,
            initial={"w": torch.tensor([start], dtype=torch.float64)},
        )
        bends[start] = _bend(SimpleNamespace(**_fields("w")), run, data)
    assert _kinked([bends[1.0]]) is None
    crossed = _kinked([bends[1.0], bends[0.01]])
    assert crossed is not None and crossed.verdict == "inconclusive" and "kink" in crossed.details["reason"]


def test_epochs_start_where_no_kink_is_near() -> None:
    kinked = absolute_value()
    problem = experiment.Problem(
        {"y": -torch.ones(8, 1, dtype=torch.float64)}, {}, numeric.losses.coefficient_error, None
    )
    starts = {"w": torch.tensor([[0.01], [1.0], [-0.02]], dtype=torch.float64)}
    assert experiment._straightest(as_model(kinked), problem, starts, 0.1) == 1


def _fields(name: str) -> dict[str, Callable[..., Any]]:
    P = st.Parametrization(st.param(name, 1) * 2, name="any")
    return vars(P.predictions()["modified_loss"].load())


def test_what_the_check_needs() -> None:
    prediction = SimpleNamespace(
        mechanism="modified_loss", parametrization="hadamard", load=lambda: SimpleNamespace(**formulas())
    )
    descents = trained().runs[: len(PLAN.descent_lrs)]
    with pytest.raises(CheckError, match="shuffled epoch"):
        numeric.check(prediction, descents, trained().data)
