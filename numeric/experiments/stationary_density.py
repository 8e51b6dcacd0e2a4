"""Many replicas of one scalar coefficient under label noise, at three step sizes with the same product ησ²."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from numeric.experiments import stationary_singular_values
from numeric.experiments.experiment import Experiment
from numeric.experiments.start import elementwise_model, filled, kernel
from numeric.losses import coefficient_error
from numeric.training import SGD, observables, train


@dataclass(frozen=True)
class Plan:
    """Settings in units of r, the kernel JJᵀ at the balanced point over w = target, by which w relaxes.

    temperature: r η σ², the same at all steps; lrs: r η; burn, gap: r η times the steps before the first snapshot and
    between snapshots, in relaxation times.
    """

    target: float = 1.0
    temperature: float = 0.4
    lrs: tuple[float, ...] = (0.08, 0.04, 0.02)
    replicas: int = 20_000
    burn: float = 12.0
    gap: float = 4.0
    snapshots: int = 10


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
    """Three runs on one target, with noise of their own each and the observable "predictor" at the snapshots.

    `data` are not used: the statement is about one coefficient with a scalar target. A prediction about the singular
    values of a matrix goes to the experiment of `stationary_singular_values`, which has a plan of its own.
    """
    if hasattr(functions, "stationary_density_norm"):
        return stationary_singular_values.run(module, functions, seed=seed, device=device, progress=progress)
    model = elementwise_model(module, 1)
    target = torch.full((1, 1), plan.target, dtype=torch.float64)
    start = filled(functions.stationary_density_gauge(target[0, 0]), 1)
    relaxation = kernel(model, start)
    temperature = plan.temperature / relaxation
    runs = []
    for number, unit in enumerate(plan.lrs):
        lr = unit / relaxation
        first, gap = round(plan.burn / unit), round(plan.gap / unit)
        at = [first + gap * snapshot for snapshot in range(plan.snapshots)]
        runs.append(
            train(
                module,
                coefficient_error,
                {"y": target},
                optimizer=SGD(lr=lr, label_noise=math.sqrt(temperature / lr)),
                steps=at[-1] + 1,
                replicas=plan.replicas,
                seed=seed + number,
                initial=start,
                observables={"predictor": observables.predictor(module)},
                record_at=at,
                device=device,
                dtype=torch.float64,
                progress=progress,
            )
        )
    return Experiment(tuple(runs), {"y": target})
