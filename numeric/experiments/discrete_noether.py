"""Minibatch SGD, recorded at every step, with and without weight decay."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from numeric.errors import CheckError
from numeric.experiments import observables
from numeric.experiments.experiment import Experiment
from numeric.experiments.problem import Problem
from numeric.experiments.start import acts_on_coefficients, elementwise_model, normal_start
from numeric.experiments.synthetic import UNBOUND, synthetic
from numeric.losses import linear_regression
from numeric.training import SGD, train
from numeric.training.model import Model, as_model
from numeric.training.shapes import bound_shape

MOST_BYTES = 5e8
"""Of point and gradient at every step of one run, which the check holds in memory a few times over."""


@dataclass(frozen=True)
class Plan:
    """lr: η; batch_size: samples a step; weight_decays: one run each; start_deviation: of the normal start, scaled
    by `scaled_start` on synthetic data; samples, noise: number of synthetic samples, and standard deviation of the
    noise on their targets."""

    lr: float = 0.005
    batch_size: int = 4
    steps: int = 2_500
    replicas: int = 2
    weight_decays: tuple[float, ...] = (0.0, 0.1)
    start_deviation: float = 0.5
    samples: int = 32
    noise: float = 0.5


def run(
    module: Any,
    functions: Any,
    data: Mapping[str, Tensor] | None = None,
    plan: Plan = Plan(),
    *,
    seed: int = 0,
    device: str | torch.device | None = None,
    progress: bool | None = None,
) -> Experiment:
    """Two runs from normal starts, drawn for each replica, on data that suit the module.

    A module that gives linear coefficients (see `acts_on_coefficients`) is trained on the regression data
    {"x": (n, d), "y": (n,)} if there are any. Any other is trained itself, on the data of `synthetic`; `data` are not
    used then, and its sizes must be bound. Raises CheckError for a model too large to record.
    """
    problem = _problem(as_model(module), data, plan, seed)
    runs = [
        train(
            module,
            problem.loss,
            problem.data,
            optimizer=SGD(lr=plan.lr, batch_size=plan.batch_size, weight_decay=decay),
            steps=plan.steps,
            replicas=plan.replicas,
            seed=seed + number,
            initial=problem.initial,
            constants=problem.constants,
            observables={"point": observables.point, "gradient": observables.gradient},
            record_every=1,
            device=device,
            dtype=torch.float64,
            progress=progress,
        )
        for number, decay in enumerate(plan.weight_decays)
    ]
    return Experiment(tuple(runs), problem.data, problem.constants)


def _problem(model: Model, data: Mapping[str, Tensor] | None, plan: Plan, seed: int) -> Problem:
    if data is not None and acts_on_coefficients(model):
        size = data["x"].shape[1]
        elementwise_model(model.module, size)
        return Problem(dict(data), {}, linear_regression, normal_start(model, size, plan.start_deviation))
    _require_memory(model, plan)
    return synthetic(model, samples=plan.samples, noise=plan.noise, deviation=plan.start_deviation, seed=seed)


def _require_memory(model: Model, plan: Plan) -> None:
    numbers = sum(
        math.prod(bound_shape(f"parameter {name!r} of {model.name}", shape, UNBOUND))
        for name, shape in model.parameters.items()
    )
    needed = 2 * 8 * numbers * plan.steps * plan.replicas
    if needed > MOST_BYTES:
        raise CheckError(
            f"point and gradient of every step of {model.name} take {needed / 1e9:.1f} GB for its {numbers:,} "
            "parameters: choose smaller sizes"
        )
