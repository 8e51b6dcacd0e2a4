"""Many replicas of a square product of two matrices under label noise around zero, at three step sizes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from numeric.errors import CheckError
from numeric.experiments.experiment import Experiment
from numeric.experiments.matrix_target import matrix_of, matrix_shapes
from numeric.losses import coefficient_error
from numeric.training import SGD, observables, train
from numeric.training.model import as_model

TEMPERATURE = 1.0
"""ησ²; it is the unit of W, as the target zero has none."""


@dataclass(frozen=True)
class Plan:
    """lrs: η n ησ², n rows, by which the noise contracts the charge in a step. burn, gap: steps before the first
    snapshot and between snapshots, in relaxation times: near 0 the logarithm of the smallest singular value drifts by
    2Tr in a time of 1/η steps and has the diffusion 4T, r − 1 the exponent of its density there, which takes a time
    2/(T r²) to relax."""

    lrs: tuple[float, ...] = (0.06, 0.036, 0.02)
    replicas: int = 1_500
    burn: float = 3.0
    gap: float = 0.75
    snapshots: int = 10


def run(
    module: Any,
    functions: Any,
    plan: Plan = Plan(),
    *,
    seed: int = 0,
    device: str | torch.device | None = None,
    progress: bool | None = None,
) -> Experiment:
    """Three runs with noise of their own each and the observable "predictor"; they start at one balanced point."""
    model = as_model(module)
    shapes = matrix_shapes(model)
    empty = {name: torch.zeros(shape, dtype=torch.float64) for name, shape in shapes.items()}
    rows, columns = model.predictor(empty).shape[-2:]
    rank = min(min(shape) for shape in shapes.values())
    values, room = _typical(functions, rows, rank)
    start = functions.stationary_density_gauge(matrix_of(rows, columns, values, seed), empty)
    target = torch.zeros(1, rows, columns, dtype=torch.float64)
    runs = []
    for number, unit in enumerate(plan.lrs):
        lr = unit / (rows * TEMPERATURE)
        relaxation = 2 / (lr * TEMPERATURE * room**2)
        at = [round((plan.burn + plan.gap * snapshot) * relaxation) for snapshot in range(plan.snapshots)]
        runs.append(
            train(
                module,
                coefficient_error,
                {"y": target},
                optimizer=SGD(lr=lr, label_noise=math.sqrt(TEMPERATURE / lr)),
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


def _typical(functions: Any, rows: int, rank: int) -> tuple[list[float], float]:
    """Singular values (rank,) that add up to the mode of the nuclear norm or, without one, to its scale; and r.

    CheckError where r is not positive, and there is no law.
    """
    values = torch.linspace(1.0, 2.0, rank, dtype=torch.float64)
    values[0] = 1e-9  # the slope of log p in log s is the exponent of the density near 0
    values.requires_grad_()
    (slope,) = torch.autograd.grad(functions.stationary_density(values, 1.0, 1.0, rows), values)
    room = 1 + float(slope[0] * values[0].detach())
    if not room > 0:
        raise CheckError(f"the density has the exponent {room - 1:g} at 0 and no finite mass")
    grown = torch.tensor(1e-9, dtype=torch.float64, requires_grad=True)
    (growth,) = torch.autograd.grad(functions.stationary_density_norm(grown, 1.0, 1.0, rows, rank), grown)
    norm = max(float(growth * grown.detach()), 1.0) * TEMPERATURE
    shares: Tensor = torch.arange(rank, 0, -1, dtype=torch.float64)
    return (norm * shares / shares.sum()).tolist(), room
