"""Many replicas of a product of two matrices under label noise around a target of its rank, at several step sizes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from numeric.experiments.experiment import Experiment
from numeric.experiments.matrix_target import matrix_of, matrix_shapes
from numeric.losses import coefficient_error
from numeric.training import SGD, observables, train
from numeric.training.model import as_model


@dataclass(frozen=True)
class Plan:
    """largest, smallest: singular values of the target, the others between them in equal steps. temperature: ησ² at
    the largest η over the distance of two of them, or over the smallest where that is less. lrs: η K, K the largest
    eigenvalue of JJᵀ at the minimum; σ is the same for all. burn, gap: η k times the steps before the first snapshot
    and between snapshots, k the smallest eigenvalue but zeros."""

    largest: float = 1.6
    smallest: float = 0.8
    temperature: float = 0.05
    lrs: tuple[float, ...] = (0.16, 0.11, 0.07)
    replicas: int = 5_000
    burn: float = 5.0
    gap: float = 1.0
    snapshots: int = 12


def run(
    module: Any,
    functions: Any,
    plan: Plan = Plan(),
    *,
    seed: int = 0,
    device: str | torch.device | None = None,
    progress: bool | None = None,
) -> Experiment:
    """One run a step size, from the minimum at the charge that noise leaves, with the observable "predictor"."""
    model = as_model(module)
    shapes = matrix_shapes(model)
    empty = {name: torch.zeros(shape, dtype=torch.float64) for name, shape in shapes.items()}
    rows, columns = model.predictor(empty).shape[-2:]
    rank = min(min(shape) for shape in shapes.values())
    values = torch.linspace(plan.largest, plan.smallest, rank, dtype=torch.float64)
    target = matrix_of(rows, columns, values.tolist(), seed)
    start = functions.joint_stationary_density_gauge(target, empty)
    # The variances of entries at a vanishing step are T K/2.
    kernel = 2 * functions.joint_stationary_density_frame_variance(target, 1e-9, 1.0) / 1e-9
    fastest, slowest = float(kernel.max()), float(kernel[kernel > 1e-9 * kernel.max()].min())
    distance = min(float(-values.diff().max()) if rank > 1 else math.inf, plan.smallest)
    sigma = math.sqrt(plan.temperature * distance * fastest / plan.lrs[0])
    runs = []
    for number, unit in enumerate(plan.lrs):
        lr = unit / fastest
        at = [round((plan.burn + plan.gap * snapshot) / (lr * slowest)) for snapshot in range(plan.snapshots)]
        runs.append(
            train(
                module,
                coefficient_error,
                {"y": target.unsqueeze(0)},
                optimizer=SGD(lr=lr, label_noise=sigma),
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
    return Experiment(tuple(runs), {"y": target.unsqueeze(0)})
