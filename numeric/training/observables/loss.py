"""The batch loss."""

from __future__ import annotations

from torch import Tensor

from numeric.training.step import Step


def loss(step: Step) -> Tensor:
    """Mean loss over the step's batch before the update, (R,), in the loss's own units."""
    return step.loss
