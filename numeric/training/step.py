"""One recorded step of training, as observables see it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from numeric.training.model import Point


@dataclass(frozen=True)
class Step:
    """Step `index`: θ → θ' with the gradient g of the batch loss, leaves (R, *shape) for R replicas.

    point: θ before the update. gradient: g, without the decay term. next_point: θ' after it. learning_rate:
    η. weight_decay: λ. loss: mean batch loss at θ, (R,). batch: leaves (R, B, ...), label noise included. The
    tensors are training's own: read them, do not change them.
    """

    index: int
    point: Point
    gradient: Point
    next_point: Point
    learning_rate: float
    weight_decay: float
    loss: Tensor
    batch: dict[str, Tensor]
