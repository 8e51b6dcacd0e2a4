"""Gradient descent with weight decay to its end, from several random starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from numeric.errors import CheckError
from numeric.experiments import weight_decay_of_group
from numeric.experiments.coefficients import coefficients
from numeric.experiments.experiment import Experiment
from numeric.experiments.start import filled, kernel, normal_start
from numeric.losses import linear_regression
from numeric.training import GradientDescent, train

ORTHONORMAL = 4.0
"""How much larger a step may be on orthonormal rows, where no direction is steeper than another."""

LONGER = 3.0
"""How much longer training may have to go on there."""


@dataclass(frozen=True)
class Plan:
    """penalty: λ R(1)/2, in units of the target's standard deviation; lr: η r with r the kernel JJᵀ where all
    parameters are one; start_deviation: of the normal starts, one a replica."""

    penalty: float = 0.24
    lr: float = 0.15
    steps: int = 12_000
    replicas: int = 4
    start_deviation: float = 0.8


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
    """One run on linear regression data {"x": (n, d), "y": (n,)}, both standardized.

    Behind a readout, whose features x D are not, they are those of `Coefficients.regression`; the penalty is the
    same part of the steepest slope of the loss at w = 0, the step larger by `ORTHONORMAL`, and the number of steps
    such that decay acts `LONGER` than it does elsewhere: with features that correlate, coefficients die more slowly.
    A prediction about the orbits of a group is decided by `weight_decay_of_group`, on data of its own. Raises
    CheckError where regression data are needed and missing.
    """
    if hasattr(functions, "weight_decay_balance"):
        return weight_decay_of_group.run(module, functions, seed=seed, device=device, progress=progress)
    if data is None:
        raise CheckError("the experiment needs regression data: pass x (n, d) and y (n,)")
    trained = coefficients(module, functions, "weight_decay", data["x"].shape[1], seed)
    model, penalty, steps = trained.model, plan.penalty, plan.steps
    unit = float(functions.weight_decay(torch.ones((), dtype=torch.float64)))
    lr = plan.lr / kernel(model, filled(dict.fromkeys(model.parameters, 1.0), 1))
    if trained.matrix is not None:
        rescaled = trained.regression(data)
        slope = _steepest(trained.features(rescaled["x"]), rescaled["y"]) / _steepest(data["x"], data["y"])
        data, penalty, lr = rescaled, slope * penalty, ORTHONORMAL * lr
        steps = round(LONGER * steps / (slope * ORTHONORMAL))
    finished = train(
        module,
        linear_regression,
        data,
        optimizer=GradientDescent(lr=lr, weight_decay=2 * penalty / unit),
        steps=steps,
        replicas=plan.replicas,
        seed=seed,
        initial=normal_start(model, trained.size, plan.start_deviation),
        constants=trained.constants,
        device=device,
        dtype=torch.float64,
        progress=progress,
    )
    return Experiment((finished,), dict(data), trained.constants)


def _steepest(x: Tensor, y: Tensor) -> float:
    """Largest slope of the loss at w = 0, over the coefficients."""
    return float((y @ x).abs().max()) / len(y)
