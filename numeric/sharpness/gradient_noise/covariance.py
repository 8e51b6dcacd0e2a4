"""Covariances and second moments of vectors that come in blocks, as operators that are never formed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from numeric.sharpness.gradient_noise.sample_gradients import sample_gradients
from numeric.sharpness.objective import Objective
from numeric.sharpness.parameters import count


@dataclass(frozen=True)
class MomentOperator:
    """Σ_i w r_i r_iᵀ over the rows r_i of all blocks, w the weight of each; with `centred`, minus w n r̄ r̄ᵀ.

    blocks: gives the rows (c, D) block after block, each time it is called; `product` calls it once.
    weight: 1/n for a mean, 1 for a factor F = RᵀR (rows scaled already); None stands for 1/n.
    """

    blocks: Callable[[], Iterator[Tensor]]
    dimension: int
    weight: float | None = None
    centred: bool = False

    def product(self, block: Tensor) -> Tensor:
        """The operator times each row of `block` (m, D), shape (m, D)."""
        total, mean, rows = torch.zeros_like(block), torch.zeros_like(block[0]), 0
        for part in self.blocks():
            total += (block @ part.mT) @ part
            mean += part.sum(dim=0)
            rows += len(part)
        weight = 1 / rows if self.weight is None else self.weight
        if self.centred:
            total -= torch.outer(block @ mean, mean) / rows
        return total * weight


def gradient_covariance(objective: Objective) -> MomentOperator:
    """C = (1/n) Σ (g_i − ḡ)(g_i − ḡ)ᵀ, g_i the gradient of one sample's loss, over the n samples of the data.

    A product costs one unit, for however many vectors at once. Squared unit of the loss over that of the parameters.
    """
    dimension = count(objective.parameters)
    return MomentOperator(lambda: sample_gradients(objective, dimension), dimension, centred=True)
