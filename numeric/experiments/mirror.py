"""Gradient descent to the end at three step sizes, from two start scales."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from numeric.experiments.coefficients import coefficients
from numeric.experiments.experiment import Experiment
from numeric.experiments.start import filled, scale_where
from numeric.losses import linear_regression
from numeric.training import GradientDescent, train


@dataclass(frozen=True)
class Plan:
    """slopes: dw/dτ at the start, one start scale each; lrs: η at slope one, divided by the root of the slope;
    time: η times the number of steps at slope one, divided by the slope."""

    slopes: tuple[float, ...] = (1.0, 0.25)
    lrs: tuple[float, ...] = (0.02, 0.01, 0.005)
    time: float = 40.0


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
    """Six runs on `orthonormal_rows` of the data {"x": (n, d), "y": (n,)}: same solutions, reached in time."""
    trained = coefficients(module, functions, "mirror", data["x"].shape[1], seed)
    regression = trained.regression(data)
    runs = []
    for slope in plan.slopes:
        alpha = scale_where(
            lambda scale: functions.mirror_slope(torch.zeros_like(scale), scale), slope, "dw/dtau at the start"
        )
        start = filled(functions.mirror_start(torch.tensor(alpha, dtype=torch.float64)), trained.size)
        for unit in plan.lrs:
            lr = unit / math.sqrt(slope)
            runs.append(
                train(
                    module,
                    linear_regression,
                    regression,
                    optimizer=GradientDescent(lr=lr),
                    steps=round(plan.time / slope / lr),
                    seed=seed,
                    initial=start,
                    constants=trained.constants,
                    device=device,
                    dtype=torch.float64,
                    progress=progress,
                )
            )
    return Experiment(tuple(runs), regression, trained.constants)
