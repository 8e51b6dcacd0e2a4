"""Gradient descent to a fixed time at several steps, and one epoch of SGD with and without replacement."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from numeric.comparison.kinks import bend
from numeric.errors import CheckError
from numeric.experiments.experiment import Experiment
from numeric.experiments.problem import Problem
from numeric.experiments.start import acts_on_coefficients, normal_start
from numeric.experiments.synthetic import synthetic
from numeric.flat_points import flattened, shapes_of, unflattened
from numeric.losses import linear_regression
from numeric.training import SGD, GradientDescent, train
from numeric.training.gradient import gradient_of
from numeric.training.initial import initial_point
from numeric.training.model import Model, Point, as_model
from numeric.training.step import Step

POWER_ITERATIONS = 30
"""Enough for a unit of steps and times: nothing depends on its last digits."""

SMALLEST = torch.finfo(torch.float64).tiny
"""Length of a vector that is not zero: where the loss is flat in all directions the power iteration stays at zero."""


@dataclass(frozen=True)
class Plan:
    """Steps and times in units of κ, the largest curvature of the loss at a start.

    descent_lrs: κη; time: κη times the number of steps; starts: of gradient descent, one a replica. epoch_lrs: κη of
    the epochs; batch_size, replicas: of these. Their part linear in η is taken out, so that small steps cost no
    precision. samples, noise, deviation: of the synthetic data, see `synthetic`; of other data the first rows are
    taken.
    """

    descent_lrs: tuple[float, ...] = (0.2, 0.1, 0.05)
    time: float = 0.8
    starts: int = 8
    epoch_lrs: tuple[float, ...] = (0.02, 0.01, 0.005)
    batch_size: int = 2
    replicas: int = 32_000
    samples: int = 8
    noise: float = 0.5
    deviation: float = 1.0


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
    """Runs of gradient descent from random starts, then of one epoch, shuffled and independent, from that one of them
    where the gradient bends least on the longest ways that an epoch may take: farthest from kinks, if there are any.

    A module that gives linear coefficients is trained on the first rows of the regression data if there are any, any
    other on those of `synthetic`. Epochs record "start_gradient", the gradient of every batch at the start, whose sum
    the check takes out of the noise. The module of the runs has its constants built in. Raises CheckError where the
    loss is not curved at the start.
    """
    model, problem = _problem(as_model(module), data, plan, seed)
    starts, _ = initial_point(
        model, problem.initial, replicas=plan.starts, seed=seed, dtype=torch.float64, device=torch.device("cpu")
    )
    curvature = _curvature(model, problem, starts)
    common: dict[str, Any] = {"device": device, "dtype": torch.float64, "progress": progress}
    runs = [
        train(
            model.module,
            problem.loss,
            problem.data,
            optimizer=GradientDescent(lr=unit / curvature),
            steps=round(plan.time / unit),
            replicas=plan.starts,
            seed=seed,
            initial=starts,
            **common,
        )
        for unit in plan.descent_lrs
    ]
    steps = plan.samples // plan.batch_size
    smoothest = _straightest(model, problem, starts, steps * max(plan.epoch_lrs) / curvature)
    first = {name: leaf[smoothest] for name, leaf in starts.items()}
    for number, replacement in enumerate((False, True)):
        for place, unit in enumerate(plan.epoch_lrs):
            runs.append(
                train(
                    model.module,
                    problem.loss,
                    problem.data,
                    optimizer=SGD(lr=unit / curvature, batch_size=plan.batch_size, replacement=replacement),
                    steps=steps,
                    replicas=plan.replicas,
                    seed=seed + 1 + number * len(plan.epoch_lrs) + place,
                    initial=first,
                    observables={"start_gradient": _start_gradient(model, problem, first)},
                    record_every=1,
                    **common,
                )
            )
    return Experiment(tuple(runs), problem.data, problem.constants)


def _problem(model: Model, data: Mapping[str, Tensor] | None, plan: Plan, seed: int) -> tuple[Model, Problem]:
    """The model with its constants built in, and what it is trained on."""
    if data is not None and acts_on_coefficients(model):
        rows = {key: leaf[: plan.samples] for key, leaf in data.items()}
        return model, Problem(rows, {}, linear_regression, normal_start(model, rows["x"].shape[1], plan.deviation))
    problem = synthetic(model, samples=plan.samples, noise=plan.noise, deviation=plan.deviation, seed=seed)
    if not problem.constants:
        return model, problem
    closed = SimpleNamespace(
        NAME=model.name,
        PARAMETERS=model.parameters,
        INPUTS=model.inputs,
        DECLARATION_HASH=model.declaration_hash,
        predictor=partial(model.predictor, **problem.constants),
    )
    return as_model(closed), replace(problem, constants={})


def _start_gradient(model: Model, problem: Problem, start: Point) -> Callable[[Step], Point]:
    """Observable: the gradient of every replica's batch loss at the common start, leaves (R, *shape)."""
    gradient = gradient_of(model, problem.loss)

    def start_gradient(step: Step) -> Point:
        place = {name: leaf.to(step.loss).expand(len(step.loss), *leaf.shape) for name, leaf in start.items()}
        return gradient(place, step.batch)[1]

    return start_gradient


def _straightest(model: Model, problem: Problem, starts: Point, time: float) -> int:
    """The start whose gradient bends least up to where one sample alone takes it in the given time, for the worst."""
    samples, gradient = len(next(iter(problem.data.values()))), gradient_of(model, problem.loss)

    def full(point: Point) -> Point:
        return gradient(point, {key: leaf.expand(samples, *leaf.shape) for key, leaf in problem.data.items()})[1]

    worst = []
    for place in range(len(next(iter(starts.values())))):
        start = {name: leaf[place].expand(samples, *leaf.shape[1:]) for name, leaf in starts.items()}
        alone = gradient(start, {key: leaf.unsqueeze(1) for key, leaf in problem.data.items()})[1]
        end = {name: leaf - time * alone[name] for name, leaf in start.items()}
        worst.append(float(bend(full, start, end).max()))
    return worst.index(min(worst))


def _curvature(model: Model, problem: Problem, starts: Point) -> float:
    """Largest |eigenvalue| of the Hessian of the full loss over the starts, by power iteration in each."""
    replicas = len(next(iter(starts.values())))
    batch = {key: leaf.expand(replicas, *leaf.shape) for key, leaf in problem.data.items()}
    shapes = shapes_of(starts, 1)

    def total(flat: Tensor) -> Tensor:
        return problem.loss(model.predict(unflattened(flat, shapes), batch), batch).mean(-1).sum()

    # Replicas do not interact and H is symmetric: each row of the product is vᵀH of its own replica.
    vector, times_hessian, *_ = torch.func.vjp(torch.func.grad(total), flattened(starts, 1))
    for _ in range(POWER_ITERATIONS):
        (vector,) = times_hessian(torch.nn.functional.normalize(vector, dim=1, eps=SMALLEST))
    curvature = float(vector.norm(dim=1).max())
    if not curvature > 0:
        raise CheckError(f"the loss of {model.name} is not curved at the starts: its steps have no natural size")
    return curvature
