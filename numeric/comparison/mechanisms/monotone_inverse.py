"""The inverse of an increasing function that is known by its formula only."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

SMALLEST, DOUBLINGS = 2.0**-20, 60  # first point of the search away from zero, and how often it doubles
BISECTIONS = 90  # leaves the rounding of float64
REACHED = 1e-8  # relative error of f(t) above which the value was not attained


def monotone_inverse(function: Callable[[Tensor], Tensor], values: Tensor) -> Tensor:
    """t with function(t) = value, elementwise, on the increasing branch through function(0) = 0.

    values: any shape, float64. The branch may end at a finite t (a pole): the search goes outwards from zero and
    counts every t where the function is not finite, or has fallen, as beyond the end. NaN where the branch does
    not attain the value.
    """
    sign, target = values.sign(), values.abs()

    def outward(t: Tensor) -> Tensor:
        return sign * function(sign * t)

    low, low_value = torch.zeros_like(target), torch.zeros_like(target)
    high = torch.full_like(target, SMALLEST)
    for _ in range(DOUBLINGS):
        value = outward(high)
        inside = torch.isfinite(value) & (value > low_value) & (value < target)
        low, low_value = torch.where(inside, high, low), torch.where(inside, value, low_value)
        high = torch.where(inside, 2 * high, high)
        if not bool(inside.any()):
            break
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        value = outward(middle)
        inside = torch.isfinite(value) & (value >= low_value) & (value <= target)
        low, low_value = torch.where(inside, middle, low), torch.where(inside, value, low_value)
        high = torch.where(inside, high, middle)
    attained = (low_value - target).abs() <= REACHED * target
    return torch.where(attained, sign * low, torch.nan)
