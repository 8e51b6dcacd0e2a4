"""Langevin runs at the edge of stability, at ever smaller steps and so at ever larger sharpness."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from numeric.comparison.mechanisms.local_quadratic import LARGEST, TrainingLoss
from numeric.errors import CheckError
from numeric.experiments.experiment import Experiment
from numeric.experiments.problem import Problem
from numeric.experiments.start import acts_on_coefficients
from numeric.experiments.synthetic import synthetic
from numeric.experiments.valley import EdgeObservable, valley_of
from numeric.flat_points import shapes_of, unflattened
from numeric.training import Langevin, train
from numeric.training.model import Model, as_model
from numeric.training.stream_seed import stream_seed


@dataclass(frozen=True)
class Plan:
    """edges: 2/η over the largest |curvature| at the start. width: the gap to leading order over the standard deviation
    of y, by which the temperature is chosen. burn, length: in the time 1/√α in which y and x relax; snapshots: in the
    time that is read. samples, deviation, noise: of the synthetic data; size: coefficients of a free length. near:
    standard deviation of the start of a graph that is its own loss, small, so that its lowest terms count."""

    edges: tuple[float, ...] = (12.0, 18.0, 28.0, 48.0)
    width: float = 2.0
    burn: float = 15.0
    length: float = 60.0
    snapshots: int = 120
    replicas: int = 400
    samples: int = 8
    deviation: float = 1.0
    noise: float = 0.3
    size: int = 3
    near: float = 0.3


def own_loss(prediction: Tensor, batch: dict[str, Tensor]) -> Tensor:
    """The predictor itself, one number, as the loss: prediction (R,), batch "y" (R, B), whose values do not matter."""
    return prediction.unsqueeze(1) + torch.zeros_like(batch["y"])


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
    """One run for every edge, from where the forecast puts it on the valley floor, with the observable "edge".

    A graph that gives one number without inputs is trained as its own loss, any other on the data of `synthetic`;
    `data` are not used. Isotropic noise of temperature T is noise of variance 2T/η in every direction. Raises
    CheckError where training does not sharpen up to an edge.
    """
    model = _with_sizes(as_model(module), plan.size)
    problem = _own(model, plan, seed) if _is_a_loss(model) else _network(model, plan, seed)
    loss = TrainingLoss(
        replace(model, fixed=problem.constants) if model.constants else model,
        problem.loss,
        problem.data,
        problem.teacher,
    )
    valley, theta = valley_of(loss)
    if len(theta) > LARGEST:
        raise CheckError(f"{len(theta)} parameters are too many for dense third derivatives: choose smaller sizes")
    unit = float(torch.linalg.eigvalsh(torch.func.jacrev(torch.func.grad(valley.loss))(theta)).abs().max())
    if not unit > 0:
        raise CheckError("not at the edge: the loss has no curvature")
    runs = []
    for number, factor in enumerate(plan.edges):
        theta = valley.start(theta, factor * unit)
        found = {name: float(value) for name, value in valley.measure(theta).items() if value.ndim == 0}
        lr = 2 / found["sharpness"]
        theta = valley.start(theta, found["sharpness"] - plan.width * math.sqrt(found["alpha"]))
        start = unflattened(theta.unsqueeze(0), shapes_of(problem.teacher))
        relaxation = 1 / (math.sqrt(found["alpha"]) * lr)
        first, gap = math.ceil(plan.burn * relaxation), max(1, round(plan.length * relaxation / plan.snapshots)) | 1
        at = [first + gap * snapshot for snapshot in range(plan.snapshots)]
        runs.append(
            train(
                module,
                problem.loss,
                problem.data,
                optimizer=Langevin(lr=lr, temperature=_temperature(functions, found, lr, plan.width)),
                steps=at[-1] + 1,
                replicas=plan.replicas,
                seed=seed + number,
                initial={name: leaf[0] for name, leaf in start.items()},
                constants=problem.constants,
                observables={"edge": EdgeObservable(valley)},
                record_at=at,
                device=device,
                dtype=torch.float64,
                progress=progress,
            )
        )
    return Experiment(tuple(runs), {**problem.data, **problem.constants}, problem.constants)


def _temperature(functions: Any, found: Mapping[str, float], lr: float, width: float) -> float:
    """T at which the forecast is `width` standard deviations √α of y: it is proportional to T."""
    alpha, beta, noise = (torch.tensor(value, dtype=torch.float64) for value in (found["alpha"], found["beta"], 2 / lr))
    leading = functions.sharpness_gap(alpha, beta, noise, lr, 0.0)
    forecast = leading + functions.sharpness_gap_of_drift_noise(alpha, beta * noise, lr, 0.0)
    return width * math.sqrt(found["alpha"]) / float(forecast)


def _with_sizes(model: Model, size: int) -> Model:
    """The model with every free length of a vector of coefficients put in."""
    if not acts_on_coefficients(model):
        return model
    return replace(
        model,
        parameters={
            name: tuple(size if isinstance(n, str) else n for n in shape) for name, shape in model.parameters.items()
        },
    )


def _is_a_loss(model: Model) -> bool:
    """Whether the predictor is one number, of parameters alone."""
    if model.inputs or model.constants or any(isinstance(n, str) for shape in model.parameters.values() for n in shape):
        return False
    point = {name: torch.ones(1, *map(int, shape)) for name, shape in model.parameters.items()}
    return model.predictor(point).ndim == 1


def _own(model: Model, plan: Plan, seed: int) -> Problem:
    generator = torch.Generator().manual_seed(stream_seed(seed, "start in a valley", 0, 0))
    start = {
        name: plan.near * torch.randn(tuple(map(int, shape)), generator=generator, dtype=torch.float64)
        for name, shape in model.parameters.items()
    }
    return Problem({"y": torch.zeros(1, dtype=torch.float64)}, {}, own_loss, start, start)


def _network(model: Model, plan: Plan, seed: int) -> Problem:
    made = synthetic(model, samples=plan.samples, noise=plan.noise, deviation=plan.deviation, seed=seed)
    assert callable(made.initial)
    generator = torch.Generator().manual_seed(stream_seed(seed, "start in a valley", 0, 0))
    return replace(made, teacher=dict(made.initial(generator)))
