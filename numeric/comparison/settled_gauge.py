"""Whether the charge of a product of two matrices is where label noise leaves it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from numeric.comparison.mechanisms.reading import formula


def charge_drift(functions: Any, mechanism: str, final: Mapping[str, Tensor]) -> float:
    """Norm of what label noise changes the charge by, replicas averaged first, over that of the same for |θ|.

    Fluctuations of the charge over replicas are of higher order and average out. final: leaves (R, *shape).
    """
    point = {name: leaf.to(torch.float64) for name, leaf in final.items()}
    drift = formula(functions, f"{mechanism}_charge_drift")
    size = 0.0
    for name in point:
        # Either parameter alone: all of its own part of the charge, which the other's part has to make up for.
        alone = {key: leaf if key == name else torch.zeros_like(leaf) for key, leaf in point.items()}
        size += float(drift(alone).mean(0).norm())
    return float(drift(point).mean(0).norm()) / size
