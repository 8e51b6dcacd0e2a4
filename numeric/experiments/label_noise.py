"""SGD with label noise, and where noise-free gradient descent would go from points on its way."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from numeric.errors import CheckError
from numeric.experiments import observables, zero_loss_drift
from numeric.experiments.coefficients import Coefficients, coefficients
from numeric.experiments.experiment import Experiment
from numeric.experiments.start import filled, scale_where, zero_pattern
from numeric.losses import linear_regression
from numeric.training import SGD, GradientDescent, Runs, train


@dataclass(frozen=True)
class Plan:
    """Settings in units of r = R(1), the smallest kernel over w = 1, so that the drift takes the same time for all.

    lr: η r. noise: standard deviation of the label noise over the root of the number of rows. start_kernel: JJᵀ at
    the start, over r. records: how often the point is recorded after the start, which is recorded too.
    descent_steps: of the noise-free gradient descent, at the same η.
    """

    lr: float = 0.1
    noise: float = 1.0
    start_kernel: float = 0.5
    steps: int = 15_000
    replicas: int = 16
    records: int = 16
    descent_steps: int = 6_000


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
    """One run on `orthonormal_rows` of the data {"x": (n, d), "y": (n,)}, with the observables "point" and "solution".

    The start has w = 0. "solution", (T, R, d), are the coefficients after noise-free gradient descent from "point".
    A prediction about whole points is decided by `zero_loss_drift`, on data of its own. Raises CheckError where
    regression data are needed and missing.
    """
    if hasattr(functions, "label_noise_drift"):
        return zero_loss_drift.run(module, functions, seed=seed, device=device, progress=progress)
    if data is None:
        raise CheckError("the experiment needs regression data: pass x (n, d) and y (n,)")
    trained = coefficients(module, functions, "label_noise", data["x"].shape[1], seed)
    regression = trained.regression(data)
    rows, model = len(regression["x"]), trained.model
    unit = float(functions.label_noise(torch.ones((), dtype=torch.float64)))
    pattern = zero_pattern(model)
    alpha = scale_where(
        lambda scale: functions.label_noise_kernel({name: entry * scale for name, entry in pattern.items()}),
        plan.start_kernel * unit,
        "JJᵀ at the start",
    )
    noisy = train(
        module,
        linear_regression,
        regression,
        optimizer=SGD(lr=plan.lr / unit, label_noise=plan.noise * math.sqrt(rows)),
        steps=plan.steps,
        replicas=plan.replicas,
        seed=seed,
        initial=filled({name: alpha * entry for name, entry in pattern.items()}, trained.size),
        constants=trained.constants,
        observables={"point": observables.point},
        record_every=plan.steps // plan.records,
        device=device,
        dtype=torch.float64,
        progress=progress,
    )
    points = {name: noisy.observables[f"point.{name}"] for name in model.parameters}
    solution = _limits(module, trained, points, regression, plan.lr / unit, plan.descent_steps, device, progress)
    complete = replace(noisy, observables={**noisy.observables, "solution": solution})
    return Experiment((complete,), regression, trained.constants)


def _limits(
    module: Any,
    trained: Coefficients,
    points: Mapping[str, Tensor],
    data: Mapping[str, Tensor],
    lr: float,
    steps: int,
    device: str | torch.device | None,
    progress: bool | None,
) -> Tensor:
    """Coefficients (T, R, d) after `steps` of gradient descent from points with leaves (T, R, d), all at once."""
    records, replicas, size = next(iter(points.values())).shape
    descent: Runs = train(
        module,
        linear_regression,
        data,
        optimizer=GradientDescent(lr=lr),
        steps=steps,
        replicas=records * replicas,
        initial={name: leaf.reshape(-1, size) for name, leaf in points.items()},
        constants=trained.constants,
        device=device,
        dtype=torch.float64,
        progress=progress,
    )
    return trained.model.predictor(descent.final).reshape(records, replicas, size)
