"""Average sharpness: how far the loss rises, in the mean, under random perturbations of the parameters."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import nn

from numeric.errors import OptionError, SharpnessError
from numeric.sharpness.ball import Ball
from numeric.sharpness.batch import Batch
from numeric.sharpness.measure import Measurement, evaluate
from numeric.sharpness.objective import ModelLoss, Objective
from numeric.sharpness.orbit import Blocks, orbit_move
from numeric.sharpness.parameters import Point, scaled
from numeric.sharpness.perturbation.adaptive import Adaptive, adaptive_weights
from numeric.sharpness.perturbation.normalized_logits import with_normalized_logits
from numeric.sharpness.perturbation.rounding import rounding_notes
from numeric.sharpness.perturbation.weighted_ball import Norm, WeightedBall
from numeric.sharpness.value import Value, over_batches

Draw = Literal["normal", "sphere"]


@dataclass(frozen=True)
class Average:
    """E_B E_δ L_B(θ + δ) − L_B(θ), over random δ.

    norm "l2": δ = rho·T·ζ with independent standard normal ζ (draw="normal", as Andriushchenko et al. 2302.07011: rho
    is the standard deviation of one entry, and |T^{-1}δ| about rho·√D), or uniform on |T^{-1}δ| = rho (draw="sphere",
    comparable with `WorstCase`). norm "linf": T^{-1}δ uniform in the box [−rho, rho]^D. adaptive: T, see
    `adaptive_weights`. pairs: for each batch, draws that are used with both signs, so that the gradient cancels.
    The unit is the loss's. The standard error is over batches, each with draws of its own; with one batch, over pairs.
    """

    rho: float
    norm: Norm = "l2"
    adaptive: Adaptive = "none"
    logit_normalized: bool = False
    draw: Draw = "normal"
    pairs: int = 10

    def __post_init__(self) -> None:
        if self.draw not in get_args(Draw):
            raise OptionError(f"draw={self.draw!r}: choose one of {', '.join(get_args(Draw))}")
        if self.pairs < 1:
            raise OptionError(f"pairs={self.pairs}: an average needs at least one pair of draws")

    @property
    def name(self) -> str:
        return "average"

    def __call__(self, objective: Objective, generator: torch.Generator) -> Value:
        if self.logit_normalized:
            objective = with_normalized_logits(objective)
        weights = adaptive_weights(objective.parameters, self.adaptive)
        return self.within(WeightedBall(objective.parameters, self.rho, self.norm, weights), objective, generator)

    def within(self, ball: Ball, objective: Objective, generator: torch.Generator) -> Value:
        """The same in any ball about the objective's point."""
        means, errors, bases, sizes = [], [], [], []
        for batch in objective.batches():
            with torch.no_grad():
                bases.append(objective.value(objective.parameters, batch).item())
                rises = self._rises(objective, ball, batch, bases[-1], generator)
            means.append(statistics.fmean(rises))
            errors.append(statistics.stdev(rises) / math.sqrt(len(rises)) if len(rises) > 1 else None)
            sizes.append(batch.size)
        mean, error = over_batches(means, sizes)
        notes = rounding_notes(mean, over_batches(bases, sizes)[0], objective.dtype)
        details = self._details(errors, sizes)
        draws = details.get("standard_error_of_draws", 0.0)
        return Value(mean, errors[0] if error is None else error, details, notes, draws)

    def _rises(
        self, objective: Objective, ball: Ball, batch: Batch, base: float, generator: torch.Generator
    ) -> list[float]:
        """The rise of the batch's loss above `base` for each pair ±δ, averaged over its two signs."""
        rises = []
        for _ in range(self.pairs):
            xi = ball.noise(generator) if self.draw == "normal" else ball.sample(generator)
            both = [self._loss(objective, ball, signed, batch) for signed in (xi, scaled(xi, -1.0))]
            rises.append(sum(both) / 2 - base)
        return rises

    @staticmethod
    def _loss(objective: Objective, ball: Ball, xi: Point, batch: Batch) -> float:
        value = objective.value(ball.displace(xi), batch).item()
        if not math.isfinite(value):
            raise SharpnessError(f"the loss is {value} at a perturbation of rho={ball.radius:g}: choose a smaller rho")
        return value

    @staticmethod
    def _details(errors: list[float | None], sizes: list[int]) -> dict[str, float | int]:
        """How much of the uncertainty is that of the draws: it falls with more pairs, the rest with more batches."""
        details: dict[str, float | int] = {"batches": len(sizes)}
        known = [(error, size) for error, size in zip(errors, sizes, strict=True) if error is not None]
        if known:
            details["standard_error_of_draws"] = math.hypot(*(error * size for error, size in known)) / sum(sizes)
        return details


def average(
    model: nn.Module,
    loss: ModelLoss,
    data: Any,
    *,
    rho: float,
    norm: Norm = "l2",
    adaptive: Adaptive = "none",
    logit_normalized: bool = False,
    draw: Draw = "normal",
    pairs: int = 10,
    keep: Callable[[str], bool] | None = None,
    blocks: Blocks | None = None,
    seed: int = 0,
) -> Measurement:
    """Average sharpness of a model, see `Average`; costs (2·pairs + 1)/3 forward+backward units.

    loss: (output, target) -> mean over the samples, a scalar. data: one batch or an iterable of batches. keep: picks
    parameters by name. blocks: a bound symmetry, along which the change of the value is measured too.
    Raises OptionError for options out of range, SharpnessError for a loss of which no sharpness can be measured.
    """
    measure = Average(rho, norm, adaptive, logit_normalized, draw, pairs)
    return evaluate(measure, Objective.of(model, loss, data, keep=keep), seed=seed, move=orbit_move(blocks, seed))
