"""Worst-case sharpness: how far the loss of a batch can be raised within a ball about the parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from numeric.errors import OptionError
from numeric.sharpness.ascent import AutoPGD
from numeric.sharpness.ball import Ball
from numeric.sharpness.batch import Batch
from numeric.sharpness.measure import Measurement, evaluate
from numeric.sharpness.objective import ModelLoss, Objective
from numeric.sharpness.orbit import Blocks, orbit_move
from numeric.sharpness.perturbation.adaptive import Adaptive, adaptive_weights
from numeric.sharpness.perturbation.normalized_logits import with_normalized_logits
from numeric.sharpness.perturbation.rounding import rounding_notes
from numeric.sharpness.perturbation.weighted_ball import Norm, WeightedBall
from numeric.sharpness.value import Value, over_batches
from numeric.sharpness.walk import Walk, walk_in


@dataclass(frozen=True)
class WorstCase:
    """E_B max_{|T^{-1}δ| ≤ rho} L_B(θ + δ) − L_B(θ), the maximum by Auto-PGD for each batch B by itself.

    The value is what the ascent reached, a lower bound of the maximum. The batch size is part of the definition: the
    mean of maxima falls with larger batches. norm: over all parameters at once. adaptive: T, see `adaptive_weights`.
    logit_normalized: of the loss of `normalize_logits`. steps: gradients for each start; starts: random ones, on the
    sphere or in the box. rho: in the parameters' unit, dimensionless if adaptive.
    The unit is the loss's; the standard error is over batches. Andriushchenko et al. 2302.07011.
    """

    rho: float
    norm: Norm = "l2"
    adaptive: Adaptive = "none"
    logit_normalized: bool = False
    steps: int = 20
    starts: int = 1

    def __post_init__(self) -> None:
        if self.starts < 1:
            raise OptionError(f"starts={self.starts}: an ascent needs at least one start")

    @property
    def name(self) -> str:
        return "worst_case"

    def __call__(self, objective: Objective, generator: torch.Generator) -> Value:
        if self.logit_normalized:
            objective = with_normalized_logits(objective)
        weights = adaptive_weights(objective.parameters, self.adaptive)
        return self.within(WeightedBall(objective.parameters, self.rho, self.norm, weights), objective, generator)

    def within(self, ball: Ball, objective: Objective, generator: torch.Generator) -> Value:
        """The same in any ball about the objective's point."""
        walk = walk_in(ball)
        rises, bases, sizes, lengths = [], [], [], []
        for batch in objective.batches():
            with torch.no_grad():
                bases.append(objective.value(objective.parameters, batch).item())
            rise, length = self._rise(objective, ball, walk, batch, bases[-1], generator)
            rises.append(rise)
            lengths.append(length)
            sizes.append(batch.size)
        mean, error = over_batches(rises, sizes)
        # 1 where the summit lies on the boundary; well below, the radius is larger than the region of high loss.
        details = {"largest": max(rises), "relative_length": sum(lengths) / len(lengths), "batches": len(rises)}
        notes = rounding_notes(mean, over_batches(bases, sizes)[0], objective.dtype)
        return Value(mean, error, details, notes)

    def _rise(
        self, objective: Objective, ball: Ball, walk: Walk, batch: Batch, base: float, generator: torch.Generator
    ) -> tuple[float, float]:
        """The largest rise above `base`, at least 0 as θ is in its ball, and where it is: |ξ|/rho."""
        best = (0.0, 0.0)
        for _ in range(self.starts):
            summit = AutoPGD(self.steps)(objective, ball, batch, ball.sample(generator), walk)
            if summit.value - base > best[0]:
                best = summit.value - base, float(ball.length(summit.xi)) / ball.radius
        return best


def worst_case(
    model: nn.Module,
    loss: ModelLoss,
    data: Any,
    *,
    rho: float,
    norm: Norm = "l2",
    adaptive: Adaptive = "none",
    logit_normalized: bool = False,
    steps: int = 20,
    starts: int = 1,
    keep: Callable[[str], bool] | None = None,
    blocks: Blocks | None = None,
    seed: int = 0,
) -> Measurement:
    """Worst-case sharpness of a model, see `WorstCase`; costs starts·(steps + 1/3) + 1/3 forward+backward units.

    loss: (output, target) -> mean over the samples, a scalar. data: one batch or an iterable of batches. keep: picks
    parameters by name. blocks: a bound symmetry, along which the change of the value is measured too.
    Raises OptionError for options out of range, SharpnessError for a loss of which no sharpness can be measured.
    """
    measure = WorstCase(rho, norm, adaptive, logit_normalized, steps, starts)
    return evaluate(measure, Objective.of(model, loss, data, keep=keep), seed=seed, move=orbit_move(blocks, seed))
