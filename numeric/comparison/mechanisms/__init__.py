"""One file per mechanism: what a run must have recorded, and the criterion, fixed beforehand, that judges it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from numeric.comparison.mechanisms.discrete_noether import discrete_noether
from numeric.comparison.mechanisms.finite_step_covariance import finite_step_covariance
from numeric.comparison.mechanisms.joint_stationary_density import joint_stationary_density
from numeric.comparison.mechanisms.label_noise import label_noise
from numeric.comparison.mechanisms.mirror import mirror
from numeric.comparison.mechanisms.modified_loss import modified_loss
from numeric.comparison.mechanisms.noise_equilibrium import noise_equilibrium
from numeric.comparison.mechanisms.orbit_volume import orbit_volume
from numeric.comparison.mechanisms.scale_equilibrium import scale_equilibrium
from numeric.comparison.mechanisms.sharpness_gap import sharpness_gap
from numeric.comparison.mechanisms.stationary_density import stationary_density
from numeric.comparison.mechanisms.weight_decay import weight_decay
from numeric.comparison.verdict import Verdict
from numeric.training.runs import Runs

Check = Callable[[Any, Sequence[Runs], Mapping[str, Tensor] | None], Verdict]

CHECKS: dict[str, Check] = {
    "discrete_noether": discrete_noether,
    "mirror": mirror,
    "label_noise": label_noise,
    "stationary_density": stationary_density,
    "joint_stationary_density": joint_stationary_density,
    "weight_decay": weight_decay,
    "finite_step_covariance": finite_step_covariance,
    "scale_equilibrium": scale_equilibrium,
    "modified_loss": modified_loss,
    "noise_equilibrium": noise_equilibrium,
    "orbit_volume": orbit_volume,
    "sharpness_gap": sharpness_gap,
}
"""Mechanism name → function (formulas of the prediction, runs, data) -> Verdict."""
