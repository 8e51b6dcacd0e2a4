"""Observables that experiments record, for `numeric.train`."""

from __future__ import annotations

from torch import Tensor

from numeric.training.step import Step


def point(step: Step) -> dict[str, Tensor]:
    """θ before the update, leaves (R, *shape), recorded as "name.leaf"."""
    return step.point


def gradient(step: Step) -> dict[str, Tensor]:
    """Gradient of the batch loss without the decay term, leaves (R, *shape), recorded as "name.leaf"."""
    return step.gradient
