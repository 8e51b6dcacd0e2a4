"""Gradient descent to the end at three step sizes from two start scales; where the scale moves, also SGD and decay."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from numeric.experiments.coefficients import coefficients
from numeric.experiments.experiment import Experiment
from numeric.experiments.start import filled, scale_where
from numeric.losses import linear_regression
from numeric.training import SGD, GradientDescent, Runs, train


@dataclass(frozen=True)
class Plan:
    """slopes: dw/dτ at the start, one start scale each; lrs: η at slope one, divided by the root of the slope;
    time: η times the number of steps at slope one, divided by the slope.

    The rest at slope one. sgd_lrs, sgd_time: of SGD with one sample a step, `replicas` of it; decay, decay_time: λ,
    and η times the number of steps, of gradient descent with decay at the steps `lrs`.
    """

    slopes: tuple[float, ...] = (1.0, 0.25)
    lrs: tuple[float, ...] = (0.02, 0.01, 0.005)
    time: float = 40.0
    sgd_lrs: tuple[float, ...] = (0.003, 0.0015, 0.00075)
    sgd_time: float = 22.0
    replicas: int = 4
    decay: float = 0.04
    decay_time: float = 20.0


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
    """Runs on `orthonormal_rows` of the data {"x": (n, d), "y": (n,)}: same solutions, reached in time.

    Six of gradient descent; three of SGD where the prediction has a law for the scale that SGD ends at, and three with
    weight decay where it has one for that.
    """
    trained = coefficients(module, functions, "mirror", data["x"].shape[1], seed)
    regression = trained.regression(data)
    descend = partial(
        train,
        module,
        linear_regression,
        regression,
        seed=seed,
        constants=trained.constants,
        device=device,
        dtype=torch.float64,
        progress=progress,
    )
    runs: list[Runs] = []
    for slope in plan.slopes:
        start = _start(functions, slope, trained.size)
        for unit in plan.lrs:
            lr = unit / math.sqrt(slope)
            steps = round(plan.time / slope / lr)
            runs.append(descend(optimizer=GradientDescent(lr=lr), steps=steps, initial=start))
    start = _start(functions, 1.0, trained.size)
    for lr in plan.sgd_lrs if hasattr(functions, "mirror_shrinkage") else ():
        optimizer = SGD(lr=lr, batch_size=1)
        steps = round(plan.sgd_time / lr)
        runs.append(descend(optimizer=optimizer, steps=steps, initial=start, replicas=plan.replicas))
    for lr in plan.lrs if hasattr(functions, "mirror_decayed_scale") else ():
        decaying = GradientDescent(lr=lr, weight_decay=plan.decay)
        runs.append(descend(optimizer=decaying, steps=round(plan.decay_time / lr), initial=start))
    return Experiment(tuple(runs), regression, trained.constants)


def _start(functions: Any, slope: float, size: int) -> dict[str, Tensor]:
    """The start on the leaf whose scale gives dw/dτ there."""
    alpha = scale_where(
        lambda scale: functions.mirror_slope(torch.zeros_like(scale), scale), slope, "dw/dtau at the start"
    )
    return filled(functions.mirror_start(torch.tensor(alpha, dtype=torch.float64)), size)
