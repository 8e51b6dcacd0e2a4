"""Stochastic gradient descent on data in memory, whose batches are a function of seed and step alone."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from numeric.errors import OptionError
from numeric.sharpness.batch import Batch
from numeric.sharpness.objective import Objective
from numeric.sharpness.parameters import Point, add, scaled
from numeric.training.stream_seed import stream_seed


@dataclass(frozen=True)
class Descent:
    """θ' = θ + v', v' = μ v − η (∇L_B(θ) + λ θ).

    lr: η. batch_size: samples in B, drawn anew at every step without replacement; None: all, gradient descent.
    momentum: μ (dimensionless), weight_decay: λ. Raises OptionError for one out of its range.
    """

    lr: float
    batch_size: int | None = None
    momentum: float = 0.0
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        finite = math.isfinite(self.lr) and math.isfinite(self.weight_decay)
        if not finite or not self.lr > 0 or not 0 <= self.momentum < 1 or self.weight_decay < 0:
            raise OptionError(
                f"lr={self.lr:g}, momentum={self.momentum:g}, weight_decay={self.weight_decay:g}: choose a positive "
                "step, a momentum in [0, 1) and a weight decay of at least 0"
            )
        if self.batch_size is not None and self.batch_size < 1:
            raise OptionError(f"batch_size={self.batch_size}: choose at least 1, or None for all samples")

    @property
    def edge(self) -> float:
        """The curvature from which an oscillation grows, 2(1 + μ)/η."""
        return 2 * (1 + self.momentum) / self.lr

    def samples_of(self, samples: int) -> int:
        """How many of so many samples are in a batch. Raises OptionError for a batch larger than the data."""
        if self.batch_size is not None and self.batch_size > samples:
            raise OptionError(f"batch_size={self.batch_size}: the data have {samples} samples, choose no more")
        return samples if self.batch_size is None else self.batch_size

    def batch(self, whole: Batch, seed: int, step: int, purpose: str = "batch of a step") -> Batch:
        """The batch of a step: the same for every run with this seed."""
        size = self.samples_of(whole.size)
        return whole if size == whole.size else whole.select(draw(whole.size, size, seed, step, purpose))

    def step(self, objective: Objective, batch: Batch, theta: Point, velocity: Point) -> tuple[float, Point, Point]:
        """(L_B(θ), θ', v')."""
        value, gradient = objective.gradient(theta, batch)
        pull = add(gradient, theta, self.weight_decay) if self.weight_decay else gradient
        moved = add(scaled(velocity, self.momentum), pull, -self.lr)
        return float(value), add(theta, moved), moved

    def to_json(self) -> dict[str, Any]:
        """The settings by name."""
        return asdict(self)


def draw(samples: int, size: int, seed: int, step: int, purpose: str) -> Tensor:
    """Indices (size,) of different samples, a function of seed, step and purpose."""
    generator = torch.Generator().manual_seed(stream_seed(seed, purpose, 0, step))
    return torch.randperm(samples, generator=generator)[:size]
