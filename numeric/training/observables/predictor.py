"""The function that the parameters describe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import Tensor

from numeric.errors import OptionError
from numeric.training.model import as_model
from numeric.training.step import Step


def predictor(M: Any, /, **values: Tensor) -> Callable[[Step], Tensor]:
    """Observable φ(θ) before the update: (R, *out), or (R, n, *out) for a model with inputs.

    M: what `train` gets. values: the model's inputs at n fixed samples, each (n, *shape), and its constants, each
    (*shape), on the run's device and in its dtype. Raises OptionError if M cannot be trained, and where a value is
    missing or has no place.
    """
    model = as_model(M)
    declared = [*model.inputs, *model.constants]
    if set(values) != set(declared):
        raise OptionError(
            f"the values given are {sorted(values)}, but {model.name} has inputs and constants {declared}: "
            "name just these"
        )
    model = replace(model, fixed={name: values[name] for name in model.constants})
    batch = {name: values[name].unsqueeze(0) for name in model.inputs}

    def observe(step: Step) -> Tensor:
        return model.predict(step.point, batch)

    return observe
