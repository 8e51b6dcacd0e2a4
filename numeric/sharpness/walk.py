"""How an ascent moves about in a ball: the slope where it stands, and one step with momentum."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from numeric.errors import SharpnessError
from numeric.sharpness.ball import Ball
from numeric.sharpness.batch import Batch
from numeric.sharpness.cost import FORWARD, GRADIENT
from numeric.sharpness.objective import Objective
from numeric.sharpness.parameters import Point


@dataclass(frozen=True)
class Summit:
    """The highest place an ascent has seen: the loss there (in the loss's unit), and the tangent that leads there.

    slope: the covector of the loss at xi, where a later step may start again.
    """

    value: float
    xi: Point
    slope: Point


class Walk(Protocol):
    """Slopes and steps of one ascent. What it returned may be overwritten by later calls, the summit's parts apart."""

    def slope(self, objective: Objective, xi: Point, batch: Batch, summit: Summit | None) -> tuple[float, Point]:
        """The loss at the end of xi, and its derivative with respect to xi; one unit."""
        ...

    def height(self, objective: Objective, xi: Point, batch: Batch) -> float:
        """The loss at the end of xi; one forward pass."""
        ...

    def step(self, xi: Point, before: Point, slope: Point, size: float, momentum: float, summit: Summit) -> Point:
        """P(xi + momentum·(z − xi) + (1 − momentum)·(xi − before)), where z = P(xi + size·steepest(slope))."""
        ...


@runtime_checkable
class Walkable(Protocol):
    """A ball with a quicker way of walking in it than its other methods give."""

    def walk(self) -> Walk: ...


def walk_in(ball: Ball) -> Walk:
    """The quickest way to walk in this ball."""
    return ball.walk() if isinstance(ball, Walkable) else PlainWalk(ball)


@runtime_checkable
class Advancing(Protocol):
    """A ball that takes the step of `Walk.step` by itself, in fewer passes over the parameters."""

    def advance(self, xi: Point, before: Point, covector: Point, size: float, momentum: float) -> Point: ...


@dataclass(frozen=True)
class PlainWalk:
    """The walk that the methods of any ball give, in new tensors."""

    ball: Ball

    def slope(self, objective: Objective, xi: Point, batch: Batch, summit: Summit | None) -> tuple[float, Point]:
        leaves = {name: leaf.detach().requires_grad_() for name, leaf in xi.items()}
        with torch.enable_grad():
            value = objective.value(self.ball.displace(leaves), batch)
        slope = torch.autograd.grad(value, list(leaves.values()), allow_unused=True, materialize_grads=True)
        objective.cost.add(GRADIENT - FORWARD, batch.size)
        return finite(value, self.ball), dict(zip(leaves, slope, strict=True))

    def height(self, objective: Objective, xi: Point, batch: Batch) -> float:
        with torch.no_grad():
            return finite(objective.value(self.ball.displace(xi), batch), self.ball)

    def step(self, xi: Point, before: Point, slope: Point, size: float, momentum: float, summit: Summit) -> Point:
        ball = self.ball
        if isinstance(ball, Advancing):
            return ball.advance(xi, before, slope, size, momentum)
        reached = ball.project(_combination(xi, 1.0, ball.steepest(slope), size))
        if momentum == 1.0:
            return reached
        mixed = _combination(reached, momentum, xi, 2 * (1 - momentum))
        torch._foreach_add_(list(mixed.values()), [before[name] for name in mixed], alpha=momentum - 1)
        return ball.project(mixed)


def finite(value: Tensor, ball: Ball) -> float:
    """The number in `value`. Raises SharpnessError where the loss is not finite."""
    number = value.item()
    if not math.isfinite(number):
        raise SharpnessError(f"the loss is {number} at a perturbation of radius {ball.radius:g}: choose a smaller rho")
    return number


def _combination(left: Mapping[str, Tensor], a: float, right: Mapping[str, Tensor], b: float) -> Point:
    """a·left + b·right, new tensors."""
    leaves = list(left.values()) if a == 1.0 else torch._foreach_mul(list(left.values()), a)
    return dict(zip(left, torch._foreach_add(leaves, [right[name] for name in left], alpha=b), strict=True))
