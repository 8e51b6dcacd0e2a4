"""What every update rule offers to training."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor

from numeric.training.learning_rate import LearningRate
from numeric.training.model import Point

Rate = float | Tensor
"""A step size η; in compiled steps a tensor (), so that they serve every value of it."""


class Optimizer(ABC):
    """An update rule θ → θ'. Concrete rules are frozen dataclasses that set these fields.

    lr: step size η or a schedule step -> η. batch_size: samples a step, None for all. replacement: whether they are
    drawn with replacement, or each once in a shuffled epoch. label_noise: standard deviation of the noise added to the
    target. momentum: factor of the velocity. weight_decay: λ, added to the gradient as λθ. draws_noise: whether
    `update` wants standard normal numbers for every parameter.
    """

    lr: LearningRate
    batch_size: int | None = None
    replacement: bool = True
    label_noise: float = 0.0
    momentum: float = 0.0
    weight_decay: float = 0.0
    draws_noise: ClassVar[bool] = False

    @abstractmethod
    def update(self, point: Point, gradient: Point, velocity: Point, learning_rate: Rate, noise: Point | None) -> None:
        """Move `point`, and `velocity` where there is momentum, in place.

        All leaves are (R, *shape). learning_rate is a number, or a tensor () where steps are compiled; gradient is that
        of the batch loss without the decay term; velocity is empty without momentum; noise is None unless draws_noise.
        """


def heavy_ball(
    point: Point,
    gradient: Point,
    velocity: Point,
    learning_rate: Rate,
    momentum: float,
    weight_decay: float,
) -> None:
    """In place: m ← μ m + g + λθ, θ ← θ − η m; without momentum θ ← (1 − ηλ) θ − η g."""
    for name, leaf in point.items():
        if momentum:
            leaf_velocity: Tensor = velocity[name]
            leaf_velocity.mul_(momentum).add_(gradient[name])
            if weight_decay:
                leaf_velocity.add_(leaf, alpha=weight_decay)
            add_multiple(leaf, leaf_velocity, -learning_rate)
        else:
            if weight_decay:
                leaf.mul_(1 - learning_rate * weight_decay)
            add_multiple(leaf, gradient[name], -learning_rate)


def add_multiple(leaf: Tensor, direction: Tensor, factor: Rate) -> None:
    """In place: leaf ← leaf + factor · direction, tensors of one shape."""
    if isinstance(factor, Tensor):
        leaf.add_(factor * direction)
    else:
        leaf.add_(direction, alpha=factor)
