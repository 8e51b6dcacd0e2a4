"""Label noise on the whole batch around a minimum without residuals, at steps up to near the largest stable one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from numeric.comparison.mechanisms.finite_step_covariance import RANGE
from numeric.comparison.mechanisms.local_quadratic import TrainingLoss
from numeric.errors import CheckError
from numeric.experiments import observables
from numeric.experiments.experiment import Experiment
from numeric.experiments.problem import Problem
from numeric.experiments.start import acts_on_coefficients
from numeric.experiments.synthetic import synthetic
from numeric.flat_points import flattened
from numeric.losses import linear_regression
from numeric.training import SGD, train
from numeric.training.model import Model, as_model
from numeric.training.stream_seed import stream_seed

CURVED = 1e-9
"""Curvatures below this part of the largest count as zero: noise does not reach those directions."""

HALVINGS = 20
"""Most halvings of the fluctuations, a factor of a million."""


@dataclass(frozen=True)
class Plan:
    """settings: (η h_max, μ), h_max the largest curvature at the minimum; fluctuations: those of θ in the flattest
    direction compared, over the root mean square of θ, by which the label noise is chosen; all are halved until
    the largest changes gradients by at most `departure` beside the quadratic loss. samples: of the synthetic
    data; size: coefficients of a free length. burn, gap: steps before the first snapshot and between snapshots, in
    relaxation times of a direction with `slowest` of the largest curvature."""

    settings: tuple[tuple[float, float], ...] = ((1.4, 0.0), (1.4, 0.6))
    fluctuations: tuple[float, ...] = (0.01, 0.02, 0.04)
    departure: float = 0.04
    samples: int = 24
    size: int = 4
    slowest: float = RANGE
    burn: float = 8.0
    gap: float = 2.0
    snapshots: int = 8
    replicas: int = 500


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
    """One run for every setting and fluctuation, all from a teacher that fits its targets, where the gradient is zero.

    A module that gives linear coefficients is trained on a regression with normal inputs, any other on the data of
    `synthetic`; `data` are not used. Observables "point" and "gradient".
    """
    model = as_model(module)
    problem = _regression(model, plan, seed) if acts_on_coefficients(model) else _network(model, plan, seed)
    loss = TrainingLoss(
        replace(model, fixed=problem.constants) if model.constants else model,
        problem.loss,
        problem.data,
        problem.teacher,
    )
    steepest = float(torch.linalg.eigvalsh(loss.hessian())[-1])
    if not steepest > 0:
        raise CheckError(f"the loss of {model.name} is flat at the point that made the targets: there is no minimum")
    typical = _reach(loss, plan, seed) / max(plan.fluctuations)
    settings = [(*setting, fluctuation) for setting in plan.settings for fluctuation in plan.fluctuations]
    runs = []
    for number, (steepness, momentum, fluctuation) in enumerate(settings):
        lr = steepness / steepest
        noise = fluctuation * typical * math.sqrt(2 * (1 - momentum) * len(problem.data["y"]) / lr)
        time = relaxation_time((plan.slowest * steepness, steepness), momentum)
        first, gap = math.ceil(plan.burn * time), math.ceil(plan.gap * time)
        at = [first + gap * snapshot for snapshot in range(plan.snapshots)]
        runs.append(
            train(
                module,
                problem.loss,
                problem.data,
                optimizer=SGD(lr=lr, label_noise=noise, momentum=momentum),
                steps=at[-1] + 1,
                replicas=plan.replicas,
                seed=seed + number,
                initial=problem.teacher,
                constants=problem.constants,
                observables={"point": observables.point, "gradient": observables.gradient},
                record_at=at,
                device=device,
                dtype=torch.float64,
                progress=progress,
            )
        )
    return Experiment(tuple(runs), {**problem.data, **problem.constants}, problem.constants)


def _reach(loss: TrainingLoss, plan: Plan, seed: int) -> float:
    """The largest fluctuation: that of the plan, halved until the loss is nearly quadratic where it leads.

    It is that of the flattest direction compared. Label noise in proportion to the Hessian spreads by
    1/(2 − ηh) in every curved direction, also in those too flat to be compared, which move the loss all the same.
    """
    start, hessian = flattened(loss.start), loss.hessian()
    curvatures, vectors = torch.linalg.eigh(hessian)
    curved = curvatures > CURVED * curvatures[-1]
    steepness = max(steepness for steepness, _ in plan.settings)
    spread = (1 - steepness / 2 * curvatures[curved] / curvatures[-1]).rsqrt()
    generator = torch.Generator().manual_seed(stream_seed(seed, "reach", 0, 0))
    normal = torch.randn(64, int(curved.sum()), generator=generator, dtype=torch.float64)
    directions = (normal * spread) @ vectors[:, curved].T
    reach = max(plan.fluctuations) * float(start.square().mean().sqrt())
    for _ in range(HALVINGS):
        linear = reach * directions @ hessian
        change = loss.gradients(start + reach * directions) - loss.gradient(start) - linear
        if float(change.norm()) <= plan.departure * float(linear.norm()):
            break
        reach /= 2
    return reach


def relaxation_time(steepness: Sequence[float], momentum: float) -> float:
    """Steps in which the slowest of the directions with these ηh forgets by 1/e, under heavy-ball momentum μ.

    Its modes are the roots of z² − (1 + μ − ηh) z + μ.
    """
    radius = 0.0
    for product in steepness:
        trace = 1 + momentum - product
        discriminant = trace**2 - 4 * momentum
        modulus = math.sqrt(momentum) if discriminant < 0 else (abs(trace) + math.sqrt(discriminant)) / 2
        radius = max(radius, modulus)
    return -1 / math.log(max(radius, 1e-6))


def _regression(model: Model, plan: Plan, seed: int) -> Problem:
    (declared,) = next(iter(model.parameters.values()))
    size = declared if isinstance(declared, int) else plan.size
    generator = torch.Generator().manual_seed(stream_seed(seed, "regression data", 0, 0))
    x = torch.randn(plan.samples, size, generator=generator, dtype=torch.float64)
    teacher = {name: 1 + 0.5 * torch.rand(size, generator=generator, dtype=torch.float64) for name in model.parameters}
    target = x @ model.predictor({name: leaf.unsqueeze(0) for name, leaf in teacher.items()})[0]
    return Problem({"x": x, "y": target}, {}, linear_regression, teacher, teacher)


def _network(model: Model, plan: Plan, seed: int) -> Problem:
    return synthetic(model, samples=plan.samples, noise=0.0, deviation=1.0, seed=seed)
