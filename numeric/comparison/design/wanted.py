"""The target of a design as torch functions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from numeric.comparison.mechanisms.reading import formula

GRID = torch.logspace(-4, 2, 61, dtype=torch.float64)
SMALL = 1e-9  # where a limit w → 0+ is read off
SAME = 1e-9  # relative change that is still rounding, of a slope and in the test for a straight line


@dataclass(frozen=True)
class Wanted:
    """R(w), or Q(w), for w > 0; signs: "difference" (even, by two copies), "odd" (even, by an odd φ), "positive" or
    "product".

    functions: a module with design_penalty, design_slope and design_curvature, elementwise on float64 w > 0.
    """

    functions: Any
    signs: str

    def penalty(self, w: Tensor) -> Tensor:
        """R(w), w > 0."""
        return torch.as_tensor(formula(self.functions, "design_penalty")(w)).expand_as(w)

    def slope(self, w: Tensor) -> Tensor:
        """R'(w), w > 0."""
        return torch.as_tensor(formula(self.functions, "design_slope")(w)).expand_as(w)

    def curvature(self, w: Tensor) -> Tensor:
        """R''(w), w > 0."""
        return torch.as_tensor(formula(self.functions, "design_curvature")(w)).expand_as(w)

    @cached_property
    def slope_at_zero(self) -> float:
        """R'(0+): zero or infinite where R' still falls or grows like a power of w between 1e-9 and 1e-27."""
        near, nearer = (float(self.slope(torch.tensor(at, dtype=torch.float64))) for at in (SMALL, SMALL**3))
        if abs(nearer) > 10 * abs(near):
            return math.copysign(math.inf, nearer)
        return 0.0 if abs(nearer) < 0.1 * abs(near) else near

    @cached_property
    def is_convex(self) -> bool:
        """Whether R' does not fall on a grid, nor from 0 on: R(|w|) is convex where R' ≥ 0 too."""
        slopes = self.slope(GRID)
        falls = (slopes[1:] < slopes[:-1] - SAME * slopes[:-1].abs()).any()
        return not bool(falls) and self.slope_at_zero <= float(slopes[0]) * (1 + SAME) + SAME

    @cached_property
    def is_straight(self) -> bool:
        """Whether R is a multiple of w."""
        slopes = self.slope(GRID)
        return bool((slopes - slopes[0]).abs().max() <= SAME * slopes[0].abs())

    def inverse_slope(self, values: Tensor, low: float = 1e-30, high: float = 1e30) -> Tensor:
        """w > 0 with R'(w) = value for increasing R', 0 where the value is below R'(0+); by bisection of log w."""
        left = torch.full_like(values, low).log()
        right = torch.full_like(values, high).log()
        for _ in range(110):  # halves ln(1e60) to less than a rounding
            middle = (left + right) / 2
            below = self.slope(middle.exp()) < values
            left, right = torch.where(below, middle, left), torch.where(below, right, middle)
        found = ((left + right) / 2).exp()
        return torch.where(found <= 10 * low, torch.zeros_like(found), found)
