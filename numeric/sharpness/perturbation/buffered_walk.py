"""An ascent in a weighted ball without new tensors: on a processor, fresh memory costs more than what is done to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from numeric.sharpness.batch import Batch
from numeric.sharpness.cost import FORWARD, GRADIENT
from numeric.sharpness.objective import Objective
from numeric.sharpness.parameters import Point
from numeric.sharpness.walk import Summit, finite

if TYPE_CHECKING:
    from numeric.sharpness.perturbation.weighted_ball import WeightedBall


class BufferedWalk:
    """The walk of one ascent in memory of its own: one displaced point, and as many tangents as are in use at once.

    Page faults of new tensors took a tenth of a step on a perceptron of 1M parameters (benchmarks/bench_ascent.py).
    """

    def __init__(self, ball: WeightedBall) -> None:
        self.ball = ball
        self._place = _like(ball.point)
        self._tangents: list[Point] = []
        self._slopes: list[Point] = []

    def slope(self, objective: Objective, xi: Point, batch: Batch, summit: Summit | None) -> tuple[float, Point]:
        leaves = {name: leaf.requires_grad_() for name, leaf in self._displaced(xi).items()}
        with torch.enable_grad():
            value = objective.value(leaves, batch)
        found = torch.autograd.grad(value, list(leaves.values()), allow_unused=True, materialize_grads=True)
        objective.cost.add(GRADIENT - FORWARD, batch.size)
        gradient = dict(zip(leaves, found, strict=True))
        if self.ball.weights is None:
            return finite(value, self.ball), gradient
        slope = _spare(self._slopes, gradient, [] if summit is None else [summit.slope])
        for name, leaf in gradient.items():
            torch.mul(leaf, self.ball.weights[name], out=slope[name])
        return finite(value, self.ball), slope

    def height(self, objective: Objective, xi: Point, batch: Batch) -> float:
        with torch.no_grad():
            return finite(objective.value(self._displaced(xi), batch), self.ball)

    def step(self, xi: Point, before: Point, slope: Point, size: float, momentum: float, summit: Summit) -> Point:
        room = _spare(self._tangents, xi, [xi, before, summit.xi])
        return self.ball.advance(xi, before, slope, size, momentum, room)

    def _displaced(self, xi: Point) -> Point:
        """θ + T·xi, in the one place for it."""
        for name, room in self._place.items():
            if self.ball.weights is None:
                torch.add(self.ball.point[name], xi[name], out=room)
            else:
                torch.addcmul(self.ball.point[name], xi[name], self.ball.weights[name], out=room)
        return {name: room.detach() for name, room in self._place.items()}


def _like(point: Point) -> Point:
    return {name: torch.empty_like(leaf) for name, leaf in point.items()}


def _spare(pool: list[Point], like: Point, used: list[Point]) -> Point:
    """A member of the pool that is none of `used`; a new one if there is none."""
    for each in pool:
        if all(each is not other for other in used):
            return each
    pool.append(_like(like))
    return pool[-1]
