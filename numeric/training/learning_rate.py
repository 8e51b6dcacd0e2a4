"""Step sizes: a constant or a schedule."""

from __future__ import annotations

import math
from collections.abc import Callable

from numeric.errors import OptionError

LearningRate = float | Callable[[int], float]


def learning_rate_at(lr: LearningRate, step: int) -> float:
    """The step size η used at step `step`, a plain float."""
    return float(lr(step)) if callable(lr) else lr


def check_learning_rate(lr: LearningRate) -> None:
    """Raise OptionError unless lr is a positive finite number or a callable step -> number."""
    if callable(lr):
        return
    check_range("lr", lr, positive=True)


def check_range(name: str, value: float, *, positive: bool = False, below: float = math.inf) -> None:
    """Raise OptionError, naming the option, unless 0 <= value < below (0 < value if `positive`)."""
    if not (0 <= value < below) or (positive and value == 0):
        lower = "positive" if positive else "not negative"
        upper = "finite" if below == math.inf else f"below {below:g}"
        raise OptionError(f"{name} = {value} is out of range: it must be {lower} and {upper}")
