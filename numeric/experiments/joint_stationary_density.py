"""Many replicas of a few coefficients with correlated features under label noise, at several step sizes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from numeric.experiments import joint_matrix_moments
from numeric.experiments.experiment import Experiment
from numeric.experiments.start import elementwise_model, filled, kernel
from numeric.losses import linear_regression
from numeric.training import SGD, observables, train


@dataclass(frozen=True)
class Plan:
    """Settings in units of r, the kernel JJᵀ of one coordinate at the balanced point over w = 1.

    targets: of the coefficients; lengths: roots of their features' mean squares; correlations: of the features, of
    unit diagonal. temperature: r η σ² for one sample a step: where the density is closed the same at all steps,
    elsewhere that of the first, and σ is the same. lrs: r η; burn, gap: r η c times the steps before the first
    snapshot and between snapshots, c the smallest eigenvalue of the Gram matrix.
    """

    targets: tuple[float, ...] = (1.0, 1.25, 0.8)
    lengths: tuple[float, ...] = (1.2, 1.0, 0.9)
    correlations: tuple[tuple[float, ...], ...] = ((1.0, 0.0, 0.0), (0.0, 1.0, -0.4), (0.0, -0.4, 1.0))
    temperature: float = 0.2
    lrs: tuple[float, ...] = (0.08, 0.04, 0.02)
    replicas: int = 8_000
    burn: float = 8.0
    gap: float = 2.0
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
    """One run a step size on data of its own; `data` are not used. The rows of x are as many as coefficients, the
    batch is all of them, and the label noise is that of one sample times the root of their number. A prediction about a
    product of two matrices goes to the experiment of `joint_matrix_moments`, which has a plan of its own."""
    if hasattr(functions, "joint_stationary_density_frame_variance"):
        return joint_matrix_moments.run(module, functions, seed=seed, device=device, progress=progress)
    lengths = torch.tensor(plan.lengths, dtype=torch.float64)
    gram = torch.tensor(plan.correlations, dtype=torch.float64) * lengths * lengths.unsqueeze(-1)
    size = len(lengths)
    x = math.sqrt(size) * torch.linalg.cholesky(gram).T
    target = torch.tensor(plan.targets, dtype=torch.float64)
    problem = {"x": x.contiguous(), "y": x @ target}
    model = elementwise_model(module, size)
    gauge = functions.joint_stationary_density_gauge
    relaxation = kernel(model, filled(gauge(torch.ones((), dtype=torch.float64)), 1))
    start = {name: leaf.expand(size).clone() for name, leaf in gauge(target).items()}
    slowest = float(torch.linalg.eigvalsh(gram)[0])
    closed = hasattr(functions, "joint_stationary_density")
    runs = []
    for number, unit in enumerate(plan.lrs):
        lr = unit / relaxation
        first, gap = round(plan.burn / (unit * slowest)), round(plan.gap / (unit * slowest))
        at = [first + gap * snapshot for snapshot in range(plan.snapshots)]
        noise = plan.temperature / relaxation / (lr if closed else plan.lrs[0] / relaxation)
        runs.append(
            train(
                module,
                linear_regression,
                problem,
                optimizer=SGD(lr=lr, label_noise=math.sqrt(size * noise)),
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
    return Experiment(tuple(runs), problem)
