"""One file per mechanism: which figures show how its check came out, drawn from the check's own numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numeric.experiments.experiment import Experiment
from numeric.reporting.mechanisms.discrete_noether import discrete_noether
from numeric.reporting.mechanisms.drawing import Drawing
from numeric.reporting.mechanisms.finite_step_covariance import finite_step_covariance
from numeric.reporting.mechanisms.joint_stationary_density import joint_stationary_density
from numeric.reporting.mechanisms.label_noise import label_noise
from numeric.reporting.mechanisms.mirror import mirror
from numeric.reporting.mechanisms.modified_loss import modified_loss
from numeric.reporting.mechanisms.noise_equilibrium import noise_equilibrium
from numeric.reporting.mechanisms.orbit_volume import orbit_volume
from numeric.reporting.mechanisms.scale_equilibrium import scale_equilibrium
from numeric.reporting.mechanisms.sharpness_gap import sharpness_gap
from numeric.reporting.mechanisms.stationary_density import stationary_density
from numeric.reporting.mechanisms.weight_decay import weight_decay

DRAWINGS: dict[str, Callable[[dict[str, Any], Experiment, Any], Drawing]] = {
    "discrete_noether": discrete_noether,
    "noise_equilibrium": noise_equilibrium,
    "mirror": mirror,
    "label_noise": label_noise,
    "stationary_density": stationary_density,
    "weight_decay": weight_decay,
    "finite_step_covariance": finite_step_covariance,
    "joint_stationary_density": joint_stationary_density,
    "scale_equilibrium": scale_equilibrium,
    "modified_loss": modified_loss,
    "orbit_volume": orbit_volume,
    "sharpness_gap": sharpness_gap,
}
"""Mechanism name → function (details of the verdict, the experiment, the prediction's torch functions) -> Drawing."""
