"""Gradient descent with weight decay to its end, of a module that is trained itself on synthetic data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from numeric.comparison.mechanisms.weight_decay_of_group import HELD, held_by_oscillation
from numeric.errors import DivergedError
from numeric.experiments import observables
from numeric.experiments.experiment import Experiment
from numeric.experiments.problem import Problem
from numeric.experiments.synthetic import synthetic
from numeric.training import GradientDescent, Runs, train
from numeric.training.model import Model, as_model


@dataclass(frozen=True)
class Plan:
    """lr: η, divided by `cut` as often as training diverges or ends in an oscillation, up to `cuts` times, with as many
    times the steps; weight_decay: λ. Charges fall by (1 − ηλ)² a step, so that ηλ · steps = 20 leaves nothing of the
    start's; kinks, as of a ReLU, are what training takes long to settle at. start_deviation: of the normal start;
    samples, noise: of the data."""

    lr: float = 0.02
    weight_decay: float = 0.05
    steps: int = 20_000
    replicas: int = 3
    cut: int = 4
    cuts: int = 2
    start_deviation: float = 1.0
    samples: int = 32
    noise: float = 0.3
    records: int = 20


def run(
    module: Any,
    functions: Any,
    plan: Plan = Plan(),
    *,
    seed: int = 0,
    device: str | torch.device | None = None,
    progress: bool | None = None,
) -> Experiment:
    """One run with the observable "point", and where the prediction has a closed minimum, "predictor" of the start and
    "predictor_of_balanced", (1, R, …). Raises DivergedError where the smallest step diverges as well."""
    model = as_model(module)
    problem = synthetic(model, samples=plan.samples, noise=plan.noise, deviation=plan.start_deviation, seed=seed)
    for attempt in range(plan.cuts + 1):
        try:
            finished = _train(module, problem, plan, attempt, seed, device, progress)
        except DivergedError:
            if attempt == plan.cuts:
                raise
            continue
        if bool((held_by_oscillation(functions, finished) <= HELD).all()):
            break
    if hasattr(functions, "weight_decay_balanced"):
        finished = _with_predictors(finished, replace(model, fixed=problem.constants), functions, problem.data)
    return Experiment((finished,), problem.data, problem.constants)


def _train(
    module: Any,
    problem: Problem,
    plan: Plan,
    attempt: int,
    seed: int,
    device: str | torch.device | None,
    progress: bool | None,
) -> Runs:
    steps = plan.steps * plan.cut**attempt
    return train(
        module,
        problem.loss,
        problem.data,
        optimizer=GradientDescent(lr=plan.lr / plan.cut**attempt, weight_decay=plan.weight_decay),
        steps=steps,
        replicas=plan.replicas,
        seed=seed,
        initial=problem.initial,
        constants=problem.constants,
        observables={"point": observables.point},
        record_at=[*range(0, steps - 1, steps // plan.records), steps - 1],
        device=device,
        dtype=torch.float64,
        progress=progress,
    )


def _with_predictors(runs: Runs, model: Model, functions: Any, data: dict[str, Tensor]) -> Runs:
    batch = {name: data[name].unsqueeze(0) for name in model.inputs}
    with torch.no_grad():
        found = {
            "predictor": model.predict(runs.initial, batch).unsqueeze(0),
            "predictor_of_balanced": model.predict(functions.weight_decay_balanced(runs.initial), batch).unsqueeze(0),
        }
    return replace(runs, observables={**runs.observables, **found})
