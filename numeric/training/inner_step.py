"""One step of all replicas: the one function that a faster backend replaces."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from numeric.losses import Loss
from numeric.training.gradient import Batch, gradient_of
from numeric.training.model import Model, Point
from numeric.training.optimizer import Optimizer, Rate

InnerStep = Callable[[Point, Point, Batch, Rate, Point | None], tuple[Tensor, Point]]
"""(point, velocity, batch, learning rate, noise) → loss before the step, (R,), and its gradient, leaves (R, *shape).

Moves point and velocity, leaves (R, *shape), in place. batch: leaves (R, B, ...). noise: standard normal leaves
(R, *shape) for an update rule that draws them, None for others.
"""


def inner_step(model: Model, loss: Loss, optimizer: Optimizer) -> InnerStep:
    """Gradient and update composed, a function of tensors alone. Call under torch.no_grad()."""
    gradient_at = gradient_of(model, loss)

    def step(
        point: Point, velocity: Point, batch: Batch, learning_rate: Rate, noise: Point | None
    ) -> tuple[Tensor, Point]:
        value, gradient = gradient_at(point, batch)
        optimizer.update(point, gradient, velocity, learning_rate, noise)
        return value, gradient

    return step
