"""From a prediction to a verdict: train what its mechanism asks for, and check."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from numeric.comparison.check import Checkable, check
from numeric.comparison.mechanisms.combine import undecided
from numeric.comparison.verdict import Verdict
from numeric.errors import CheckError, DataError, DivergedError, SizeError
from numeric.experiments import (
    discrete_noether,
    finite_step_covariance,
    joint_stationary_density,
    label_noise,
    mirror,
    modified_loss,
    noise_equilibrium,
    orbit_volume,
    scale_equilibrium,
    sharpness_gap,
    stationary_density,
    weight_decay,
)
from numeric.experiments.experiment import Experiment
from numeric.files import make_folder

EXPERIMENTS: dict[str, Callable[..., Experiment]] = {
    "discrete_noether": discrete_noether.run,
    "mirror": mirror.run,
    "label_noise": label_noise.run,
    "stationary_density": stationary_density.run,
    "joint_stationary_density": joint_stationary_density.run,
    "weight_decay": weight_decay.run,
    "finite_step_covariance": finite_step_covariance.run,
    "scale_equilibrium": scale_equilibrium.run,
    "modified_loss": modified_loss.run,
    "noise_equilibrium": noise_equilibrium.run,
    "orbit_volume": orbit_volume.run,
    "sharpness_gap": sharpness_gap.run,
}
"""Mechanism name → run(module, functions, data, plan, *, seed, device, progress) -> Experiment."""

ANY_SHAPE = (
    "discrete_noether",
    "finite_step_covariance",
    "scale_equilibrium",
    "modified_loss",
    "noise_equilibrium",
    "orbit_volume",
    "sharpness_gap",
)
"""Mechanisms whose experiments train a graph of any shape itself, on data of their own where it gives no vector."""

WITHOUT_DATA = (*ANY_SHAPE, "stationary_density", "joint_stationary_density")
"""Mechanisms whose experiments can make their own data: beside those, for a few coefficients with given targets."""

WITHOUT_DATA_FOR_ARRAYS = ("label_noise", "weight_decay")
"""Those that can where the prediction is about whole arrays; about single coordinates they need a regression."""


@dataclass(frozen=True)
class Decision:
    """The verdict, and the experiment behind it (None if it could not be carried out)."""

    verdict: Verdict
    experiment: Experiment | None


def decide(
    prediction: Checkable,
    M: Any,
    data: Mapping[str, Tensor] | None = None,
    *,
    folder: str | Path | None = None,
    seed: int = 0,
    device: str | torch.device | None = None,
    progress: bool | None = None,
) -> Decision:
    """Carry out the experiment of the prediction's mechanism and judge it.

    M: what `numeric.train` takes. data: linear regression, {"x": (n, d), "y": (n,)}, standardized float64, with at
    least as many coefficients as rows, for modules that give the d coefficients; others are trained on synthetic
    data of their own (see numeric.experiments.synthetic). folder: where to save all runs, if given. seed, device,
    progress: as in `numeric.train`. An experiment that cannot be carried out for this parametrization (it diverges,
    or has no start of the kind that is needed) gives an inconclusive verdict with the reason. Raises CheckError for
    a mechanism without an experiment, or one that needs data and gets none, StoreError for a folder that cannot be
    written.
    """
    mechanism = prediction.mechanism
    if mechanism not in EXPERIMENTS:
        raise CheckError(f"there is no experiment for {mechanism!r}; known are {', '.join(EXPERIMENTS)}")
    if data is None and mechanism not in (*WITHOUT_DATA, *WITHOUT_DATA_FOR_ARRAYS):
        raise CheckError(f"the experiment for {mechanism!r} needs regression data: pass x (n, d) and y (n,)")
    if folder is not None:
        make_folder(Path(folder))  # before the training, not after it
    try:
        experiment = EXPERIMENTS[mechanism](M, prediction.load(), data, seed=seed, device=device, progress=progress)
    except (CheckError, DataError, DivergedError, SizeError) as error:
        return Decision(undecided(mechanism, "the experiment could not be carried out", str(error)), None)
    if folder is not None:
        experiment.save(folder)
    return Decision(check(prediction, experiment.runs, {**experiment.data, **experiment.constants}), experiment)
