"""A flow dθ/dt = F(θ) of points, integrated with fixed steps."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Point = dict[str, Tensor]


def flow(field: Callable[[Point], Point], start: Point, time: float | Tensor, steps: int) -> Point:
    """θ(time) by `steps` steps of the classical Runge–Kutta method, error of order steps⁻⁴ for a smooth field.

    start: leaves of any shape, which `field` keeps. All dimensionless.
    """
    h = time / steps
    point = start
    for _ in range(steps):
        first = field(point)
        second = field(_moved(point, first, h / 2))
        third = field(_moved(point, second, h / 2))
        fourth = field(_moved(point, third, h))
        point = {
            name: leaf + h / 6 * (first[name] + 2 * second[name] + 2 * third[name] + fourth[name])
            for name, leaf in point.items()
        }
    return point


def distance(left: Point, right: Point) -> Tensor:
    """Euclidean distance (K, R) of points with leaves (K, R, *shape)."""
    squares = [(left[name] - leaf).square().reshape(*leaf.shape[:2], -1).sum(2) for name, leaf in right.items()]
    return torch.stack(squares).sum(0).sqrt()


def _moved(point: Point, velocity: Point, time: float | Tensor) -> Point:
    return {name: leaf + time * velocity[name] for name, leaf in point.items()}
