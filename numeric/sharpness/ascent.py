"""The largest loss of one batch within a ball, by projected gradient ascent that chooses its own step sizes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from numeric.errors import OptionError, SharpnessError
from numeric.sharpness.ball import Ball
from numeric.sharpness.batch import Batch
from numeric.sharpness.cost import FORWARD, GRADIENT
from numeric.sharpness.objective import Objective
from numeric.sharpness.parameters import Point

# Croce and Hein's constants, which Andriushchenko et al. 2302.07011 keep. Lengths are fractions of the number of steps.
FIRST_PHASE, SHORTENING, SHORTEST_PHASE = 0.22, 0.03, 0.06
ENOUGH_RISES = 0.75


@dataclass(frozen=True)
class Summit:
    """The highest place an ascent has seen: the loss there (in the loss's unit), and the tangent that leads there.

    slope: the covector of the loss at xi, where a later step may start again.
    """

    value: float
    xi: Point
    slope: Point


@dataclass(frozen=True)
class AutoPGD:
    """Auto-PGD of Croce and Hein on the parameters, as in Andriushchenko et al. 2302.07011: momentum, step halving.

    A step goes from xi by `size` radii along the ball's steepest direction, is projected, and is mixed with the last
    step: xi + momentum·(z − xi) + (1 − momentum)·(xi − xi_before), projected again. The first size is two radii. At
    checkpoints that come faster and faster, the size is halved when the loss rose in less than 3/4 of the steps since
    the last one, or when neither size nor summit changed since then; the ascent then starts again from the summit,
    without momentum and with the slope already known there.
    Each step needs one gradient: its loss is the value at the place where it was taken. `steps` of them cost `steps`
    forward+backward units of the batch and one forward pass for the last place.
    """

    steps: int = 20
    momentum: float = 0.75
    first_size: float = 2.0

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise OptionError(f"steps={self.steps}: an ascent takes at least one step")

    def __call__(self, objective: Objective, ball: Ball, batch: Batch, start: Point) -> Summit:
        """Climb L_B(displace(xi)) from `start`, a tangent in the ball.

        Raises SharpnessError where the loss is not finite at a perturbed point.
        """
        xi = before = start
        value, slope = _slope(objective, ball, xi, batch)
        best = Summit(value, xi, slope)
        step_size = _StepSize(self.first_size, self.checkpoints(), value)
        for k in range(1, self.steps + 1):
            weight = 1.0 if k == 1 else self.momentum
            xi, before = self._step(ball, xi, before, slope, step_size.value, weight), xi
            below = value
            if k < self.steps:
                value, slope = _slope(objective, ball, xi, batch)
            else:
                value = _height(objective, ball, xi, batch)
            if value > best.value:
                best = Summit(value, xi, slope)
            if step_size.halves(k, rose=value > below, summit=best.value):
                xi = before = best.xi
                value, slope = best.value, best.slope
        return best

    def checkpoints(self) -> frozenset[int]:
        """The steps ⌈p_j·steps⌉ with p_1 = 0.22, p_{j+1} = p_j + max(p_j − p_{j−1} − 0.03, 0.06), below the last."""
        before, now, found = 0.0, FIRST_PHASE, set()
        while (step := math.ceil(now * self.steps)) < self.steps:
            found.add(step)
            before, now = now, now + max(now - before - SHORTENING, SHORTEST_PHASE)
        return frozenset(found)

    @staticmethod
    def _step(ball: Ball, xi: Point, before: Point, slope: Point, size: float, weight: float) -> Point:
        reached = ball.project(_combination(xi, 1.0, ball.steepest(slope), size))
        if weight == 1.0:
            return reached
        # xi + weight (reached − xi) + (1 − weight) (xi − before), in three passes over the parameters.
        mixed = _combination(reached, weight, xi, 2 * (1 - weight))
        torch._foreach_add_(list(mixed.values()), [before[name] for name in mixed], alpha=weight - 1)
        return ball.project(mixed)


@dataclass
class _StepSize:
    """The size of the steps in radii, halved at checkpoints.

    summit: the highest loss at the last checkpoint; kept: whether the size was kept there.
    """

    value: float
    checkpoints: frozenset[int]
    summit: float
    rises: int = 0
    last: int = 0
    kept: bool = False

    def halves(self, k: int, *, rose: bool, summit: float) -> bool:
        """Count step k; whether it is a checkpoint at which the size was halved."""
        self.rises += rose
        if k not in self.checkpoints:
            return False
        stuck = self.rises < ENOUGH_RISES * (k - self.last) or (self.kept and summit == self.summit)
        if stuck:
            self.value /= 2
        self.summit, self.rises, self.last, self.kept = summit, 0, k, not stuck
        return stuck


def _combination(left: Mapping[str, Tensor], a: float, right: Mapping[str, Tensor], b: float) -> Point:
    """a·left + b·right, new tensors."""
    leaves = list(left.values()) if a == 1.0 else torch._foreach_mul(list(left.values()), a)
    return dict(zip(left, torch._foreach_add(leaves, [right[name] for name in left], alpha=b), strict=True))


def _slope(objective: Objective, ball: Ball, xi: Point, batch: Batch) -> tuple[float, Point]:
    """The loss at the end of xi, and its derivative with respect to xi; one unit."""
    leaves = {name: leaf.detach().requires_grad_() for name, leaf in xi.items()}
    with torch.enable_grad():
        value = objective.value(ball.displace(leaves), batch)
    slope = torch.autograd.grad(value, list(leaves.values()), allow_unused=True, materialize_grads=True)
    objective.cost.add(GRADIENT - FORWARD, batch.size)
    return _finite(value, ball), dict(zip(leaves, slope, strict=True))


def _height(objective: Objective, ball: Ball, xi: Point, batch: Batch) -> float:
    with torch.no_grad():
        return _finite(objective.value(ball.displace(xi), batch), ball)


def _finite(value: Tensor, ball: Ball) -> float:
    number = value.item()
    if not math.isfinite(number):
        raise SharpnessError(f"the loss is {number} at a perturbation of radius {ball.radius:g}: choose a smaller rho")
    return number
