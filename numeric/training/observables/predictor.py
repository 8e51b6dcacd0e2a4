"""The function that the parameters describe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from numeric.training.model import as_model
from numeric.training.step import Step


def predictor(M: Any, **inputs: Tensor) -> Callable[[Step], Tensor]:
    """Observable φ(θ) before the update: (R, *out), or (R, n, *out) for a model with inputs.

    M: what `train` gets. inputs: the model's inputs at n fixed samples, each (n, *shape), on the run's device
    and in its dtype. Raises OptionError if M cannot be trained.
    """
    model = as_model(M)
    batch = {name: leaf.unsqueeze(0) for name, leaf in inputs.items()}

    def observe(step: Step) -> Tensor:
        return model.predict(step.point, batch)

    return observe
