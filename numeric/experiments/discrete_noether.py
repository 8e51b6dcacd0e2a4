"""Minibatch SGD, recorded at every step, with and without weight decay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from numeric.experiments import observables
from numeric.experiments.experiment import Experiment
from numeric.experiments.start import elementwise_model, normal_start
from numeric.losses import linear_regression
from numeric.training import SGD, train


@dataclass(frozen=True)
class Plan:
    """lr: η; batch_size: samples a step; weight_decays: one run each; start_deviation: of the normal start."""

    lr: float = 0.005
    batch_size: int = 4
    steps: int = 2_500
    replicas: int = 2
    weight_decays: tuple[float, ...] = (0.0, 0.1)
    start_deviation: float = 0.5


def run(
    module: Any,
    functions: Any,
    data: Mapping[str, Tensor],
    plan: Plan = Plan(),
    *,
    seed: int = 0,
    device: str | torch.device | None = None,
    progress: bool | None = None,
) -> Experiment:
    """Two runs on linear regression data {"x": (n, d), "y": (n,)} from normal starts, drawn for each replica."""
    size = data["x"].shape[1]
    model = elementwise_model(module, size)
    runs = [
        train(
            module,
            linear_regression,
            data,
            optimizer=SGD(lr=plan.lr, batch_size=plan.batch_size, weight_decay=decay),
            steps=plan.steps,
            replicas=plan.replicas,
            seed=seed + number,
            initial=normal_start(model, size, plan.start_deviation),
            observables={"point": observables.point, "gradient": observables.gradient},
            record_every=1,
            device=device,
            dtype=torch.float64,
            progress=progress,
        )
        for number, decay in enumerate(plan.weight_decays)
    ]
    return Experiment(tuple(runs), dict(data))
