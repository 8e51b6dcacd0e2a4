"""Gradient descent on the full batch."""

from __future__ import annotations

from dataclasses import dataclass

from numeric.training.learning_rate import LearningRate, check_learning_rate, check_range
from numeric.training.model import Point
from numeric.training.optimizer import Optimizer, Rate, heavy_ball


@dataclass(frozen=True)
class GradientDescent(Optimizer):
    """θ' = θ − η (∇L + λθ), L the mean loss over all samples; deterministic.

    lr: η, positive, or a callable step -> η. momentum: μ in m' = μm + ∇L + λθ, θ' = θ − ηm', in [0, 1).
    weight_decay: λ ≥ 0. Raises OptionError for a value out of range.
    """

    lr: LearningRate
    momentum: float = 0.0
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        check_learning_rate(self.lr)
        check_range("momentum", self.momentum, below=1)
        check_range("weight_decay", self.weight_decay)

    def update(self, point: Point, gradient: Point, velocity: Point, learning_rate: Rate, noise: Point | None) -> None:
        """In place: the heavy-ball step. Leaves (R, *shape)."""
        heavy_ball(point, gradient, velocity, learning_rate, self.momentum, self.weight_decay)
