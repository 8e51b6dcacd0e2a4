"""Isotropic Langevin dynamics on the full batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from numeric.errors import OptionError
from numeric.training.learning_rate import LearningRate, check_learning_rate, check_range
from numeric.training.model import Point
from numeric.training.optimizer import Optimizer, Rate, add_multiple


@dataclass(frozen=True)
class Langevin(Optimizer):
    """θ' = θ − η ∇L + √(2ηT) ξ, ξ standard normal in every parameter: dθ = −∇L dt + √(2T) dW in steps of η.

    Its stationary density tends to exp(−L/T) dθ as η → 0. lr: η, positive, or a callable step -> η.
    temperature: T ≥ 0, in units of the loss. Raises OptionError for a value out of range.
    """

    lr: LearningRate
    temperature: float
    draws_noise: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_learning_rate(self.lr)
        check_range("temperature", self.temperature)

    def update(self, point: Point, gradient: Point, velocity: Point, learning_rate: Rate, noise: Point | None) -> None:
        """In place: one Euler–Maruyama step. Leaves (R, *shape). Raises OptionError without noise."""
        if noise is None:
            raise OptionError("a Langevin step needs noise: pass standard normal leaves of the point's shapes")
        scale = (2 * learning_rate * self.temperature) ** 0.5
        for name, leaf in point.items():
            add_multiple(leaf, gradient[name], -learning_rate)
            add_multiple(leaf, noise[name], scale)
