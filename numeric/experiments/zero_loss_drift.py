"""SGD with label noise from a point of zero loss, and where noise-free gradient descent goes from its end."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from numeric.errors import CheckError
from numeric.experiments.experiment import Experiment
from numeric.experiments.problem import Problem
from numeric.experiments.synthetic import scaled_start, synthetic
from numeric.flow_limit import flow_limit
from numeric.training import SGD, GradientDescent, Runs, train
from numeric.training.model import Model, Point, as_model
from numeric.zero_loss import ZeroLoss, zero_loss


@dataclass(frozen=True)
class Plan:
    """lrs: η in units of 1/κ, κ the largest ‖J(x)‖² of a sample, for which SGD is stable up to 2. time: ηκ times the
    steps of SGD, the same for all η. noise: its standard deviation over the largest output of the teacher, small, for
    drift and scatter fall with its square alike. samples: of the data, halved as often as all of `draws` starts have a
    direction across that is slower than κ by more than `spread`. descent: relaxation times of the slowest
    direction that gradient descent gets, or the gradient flow where that takes more than `most_descent` steps."""

    lrs: tuple[float, ...] = (0.2, 0.14, 0.1)
    time: float = 60.0
    noise: float = 0.01
    replicas: int = 128
    samples: int = 8
    draws: int = 32
    start_deviation: float = 1.5
    spread: float = 100.0
    descent: float = 12.0
    most_descent: int = 40_000


def run(
    module: Any,
    functions: Any,
    plan: Plan = Plan(),
    *,
    seed: int = 0,
    device: str | torch.device | None = None,
    progress: bool | None = None,
) -> Experiment:
    """One run for each η, all replicas from the same point, with the observable "solution.<leaf>" (1, R, …): where
    noise-free gradient descent with the same η ends. One step of it from θ does not change that end, so that the mean
    end moves by the noise alone. Where it would take too many steps it is the end of gradient flow instead: a step
    changes that by order η² of the squared distance from zero loss, η³σ² for η²σ² that noise does, which is gone in the
    limit of small η. The values of constants are among the data. Raises CheckError where the point has no direction of
    zero loss.
    """
    model = as_model(module)
    problem, start, found = _problem(model, plan, seed)
    sigma = plan.noise * float(problem.data["y"].abs().max())
    stiff = plan.descent * found.largest_sample / found.slowest / min(plan.lrs) > plan.most_descent
    runs = []
    for number, lr in enumerate(plan.lrs):
        eta = lr / found.largest_sample
        noisy = train(
            module,
            problem.loss,
            problem.data,
            optimizer=SGD(lr=eta, batch_size=1, label_noise=sigma),
            steps=math.ceil(plan.time / lr),
            replicas=plan.replicas,
            seed=seed + number,
            initial=start,
            constants=problem.constants,
            device=device,
            dtype=torch.float64,
            progress=progress,
        )
        time = plan.descent / found.slowest
        if stiff:
            solution = flow_limit(replace(model, fixed=problem.constants), noisy.final, problem.data, time)
        else:
            solution = _descend(module, problem, noisy, eta, math.ceil(time / eta), device, progress)
        ends = {f"solution.{name}": leaf.unsqueeze(0) for name, leaf in solution.items()}
        runs.append(replace(noisy, observables=ends))
    return Experiment(tuple(runs), {**problem.data, **problem.constants}, problem.constants)


def _problem(model: Model, plan: Plan, seed: int) -> tuple[Problem, Point, ZeroLoss]:
    """Data that the start fits exactly, with as many samples as leave no direction too slow; of all draws the one with
    the least spread where even one sample leaves some."""
    samples = plan.samples if model.inputs else 1
    found = []
    while samples:
        for draw in range(plan.draws):
            try:
                found.append(_drawn(model, plan, samples, seed + draw))
            except CheckError:
                continue
            if _spread(found[-1]) <= plan.spread:
                return found[-1]
        samples //= 2
    if not found:
        raise CheckError(f"{model.name} has no start at which the set of zero loss has a clear direction")
    return min(found, key=_spread)


def _spread(drawn: tuple[Problem, Point, ZeroLoss]) -> float:
    return drawn[2].largest_sample / drawn[2].slowest


def _drawn(model: Model, plan: Plan, samples: int, seed: int) -> tuple[Problem, Point, ZeroLoss]:
    problem = synthetic(model, samples=samples, noise=0.0, deviation=plan.start_deviation, seed=seed)
    fixed = replace(model, fixed=problem.constants)
    start = scaled_start(model, plan.start_deviation)(torch.Generator().manual_seed(seed))
    inputs = {name: problem.data[name].unsqueeze(0) for name in model.inputs}
    value = fixed.predict({name: leaf.unsqueeze(0) for name, leaf in start.items()}, inputs)[0]
    data = {**problem.data, "y": value if model.inputs else value.expand(samples, *value.shape).clone()}
    return replace(problem, data=data), start, zero_loss(fixed, start, data)


def _descend(
    module: Any,
    problem: Problem,
    noisy: Runs,
    eta: float,
    steps: int,
    device: str | torch.device | None,
    progress: bool | None,
) -> dict[str, Tensor]:
    descent = train(
        module,
        problem.loss,
        problem.data,
        optimizer=GradientDescent(lr=eta),
        steps=steps,
        replicas=len(next(iter(noisy.final.values()))),
        initial=noisy.final,
        constants=problem.constants,
        device=device,
        dtype=torch.float64,
        progress=progress,
    )
    return dict(descent.final)
