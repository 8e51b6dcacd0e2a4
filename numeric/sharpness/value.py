"""What a measure found: a number, how sure it is, and what else a reader needs in order to trust it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Value:
    """The value of one measure at one point.

    value carries the unit of the loss (curvatures: per squared unit of the parameters; ratios: dimensionless, as each
    measure says). standard_error: over batches and random probes, None where there is one batch and nothing random.
    random_error: the part of it that comes from random probes or draws, which another point of an orbit draws anew; 0
    where the value is a function of the point and the data.
    rounding: how far rounding may move the value, in its unit, where the measure knows; 0 where it does not.
    details: further numbers by name (JSON values); notes: what had to be done differently, one sentence each.
    """

    value: float
    standard_error: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    random_error: float = 0.0
    rounding: float = 0.0


def over_batches(values: Sequence[float], sizes: Sequence[int]) -> tuple[float, float | None]:
    """Mean over batches weighted by their sizes, and its standard error; None with fewer than two batches.

    The batches are taken as independent draws. With weights w_B = n_B/n the error is
    √(Σ w_B² (v_B − v̄)² · K/(K−1)), for K batches of equal size the usual s/√K.
    """
    total = sum(sizes)
    weights = [size / total for size in sizes]
    mean = math.fsum(weight * value for weight, value in zip(weights, values, strict=True))
    if len(values) < 2:
        return mean, None
    spread = math.fsum((weight * (value - mean)) ** 2 for weight, value in zip(weights, values, strict=True))
    return mean, math.sqrt(spread * len(values) / (len(values) - 1))
