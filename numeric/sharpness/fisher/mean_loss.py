"""The loss over all batches."""

from __future__ import annotations

import torch

from numeric.sharpness.objective import Objective


def mean_loss(objective: Objective) -> float:
    """L(θ) over all samples; costs a forward pass."""
    total = samples = 0.0
    for batch in objective.batches():
        with torch.no_grad():
            total += batch.size * float(objective.value(objective.parameters, batch))
        samples += batch.size
    return total / samples
