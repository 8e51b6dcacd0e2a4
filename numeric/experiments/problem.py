"""What a module is trained on: data, loss, constants and start."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from numeric.training.initial import Initial
from numeric.training.model import Point
from numeric.training.program import Loss


@dataclass(frozen=True)
class Problem:
    """data: leaves (n, ...), samples along the first axis; constants: name → (*shape); loss: see numeric.losses;
    initial: as `numeric.train` takes it; teacher: the point that the targets come from, leaves (*shape)."""

    data: dict[str, Tensor]
    constants: dict[str, Tensor]
    loss: Loss
    initial: Initial
    teacher: Point = field(default_factory=dict)
