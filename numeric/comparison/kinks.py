"""Whether a kink lies between two points: three values of a gradient on the way from one to the other tell it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from numeric.flat_points import flattened
from numeric.training.model import Point

SMALLEST = torch.finfo(torch.float64).tiny
"""Instead of no change at all, where nothing bends."""


def bend(gradient: Callable[[Point], Point], start: Point, end: Point) -> Tensor:
    """‖g(θ) + g(θ') − 2 g((θ + θ')/2)‖/‖g(θ') − g(θ)‖, dimensionless, (R,).

    It falls with the distance where the gradient is smooth, and is 1 where a jump of it between the points is all that
    changes it: the middle lies on one side of the jump. start, end: leaves (R, *shape). Derived here.
    """
    middle = {name: (leaf + end[name]) / 2 for name, leaf in start.items()}
    first, half, last = (flattened(gradient(point), 1) for point in (start, middle, end))
    return (first + last - 2 * half).norm(dim=1) / (last - first).norm(dim=1).clamp_min(SMALLEST)
