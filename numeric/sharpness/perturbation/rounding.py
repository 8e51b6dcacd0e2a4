"""Rises of a loss that its dtype can hardly tell from rounding."""

from __future__ import annotations

import torch

# The loss of a batch comes with a few roundings; a rise of 100 of them is known to some percent.
ROUNDINGS = 100


def rounding_notes(rise: float, base: float, dtype: torch.dtype) -> tuple[str, ...]:
    """A note where the rise of a loss is below 100 roundings of its value `base`, else none."""
    if abs(rise) >= ROUNDINGS * torch.finfo(dtype).eps * abs(base):
        return ()
    name = str(dtype).removeprefix("torch.")
    return (f"the loss rises by less than {ROUNDINGS} roundings of {name}: take a larger rho, or float64",)
