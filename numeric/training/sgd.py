"""Stochastic gradient descent."""

from __future__ import annotations

from dataclasses import dataclass

from numeric.errors import OptionError
from numeric.training.learning_rate import LearningRate, check_learning_rate, check_range
from numeric.training.model import Point
from numeric.training.optimizer import Optimizer, Rate, heavy_ball


@dataclass(frozen=True)
class SGD(Optimizer):
    """θ' = θ − η (g + λθ), g the gradient of the mean loss over a batch.

    lr: η, positive, or a callable step -> η. batch_size: samples a step, None for all of them. label_noise:
    standard deviation of the fresh normal noise on "y" (in units of y). momentum: μ in m' = μm + g + λθ, θ' =
    θ − ηm', in [0, 1). weight_decay: λ ≥ 0. replacement: True draws the samples of a batch independently;
    False shuffles all samples anew for every epoch and deals them out in batches, so that batch_size has to divide
    their number. Raises OptionError for a value out of range.
    """

    lr: LearningRate
    batch_size: int | None = None
    label_noise: float = 0.0
    momentum: float = 0.0
    weight_decay: float = 0.0
    replacement: bool = True

    def __post_init__(self) -> None:
        check_learning_rate(self.lr)
        check_range("label_noise", self.label_noise)
        check_range("momentum", self.momentum, below=1)
        check_range("weight_decay", self.weight_decay)
        if self.batch_size is not None and self.batch_size < 1:
            raise OptionError(f"batch_size = {self.batch_size} is out of range: at least 1, or None for all samples")

    def update(self, point: Point, gradient: Point, velocity: Point, learning_rate: Rate, noise: Point | None) -> None:
        """In place: the heavy-ball step, plain SGD without momentum. Leaves (R, *shape)."""
        heavy_ball(point, gradient, velocity, learning_rate, self.momentum, self.weight_decay)
