"""The diagonal estimate of the Fisher information: cheap, and not invariant."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from numeric.errors import SharpnessError
from numeric.sharpness.sketch import random_signs


@dataclass(frozen=True)
class DiagonalRoot:
    """W = diag(F_ii)^{-1/2} on the entries where F_ii does not vanish.

    kept: (r,), their indices. diagonal: (r,), F_ii there. dimension: D. gap: √ of the smallest kept over the largest
    dropped entry.
    """

    kept: Tensor
    diagonal: Tensor
    dimension: int
    gap: float

    @property
    def rank(self) -> int:
        return self.kept.numel()

    @property
    def effective_rank(self) -> float:
        """(Σ F_ii)²/Σ F_ii²."""
        return float(self.diagonal.sum().square() / self.diagonal.square().sum())

    @property
    def condition(self) -> float:
        return float((self.diagonal.max() / self.diagonal.min()).sqrt())

    def lift(self, coordinates: Tensor) -> Tensor:
        tangents = coordinates.new_zeros(coordinates.shape[0], self.dimension)
        tangents[:, self.kept] = coordinates / self.diagonal.sqrt()
        return tangents

    def lower(self, covectors: Tensor) -> Tensor:
        return covectors[:, self.kept] / self.diagonal.sqrt()

    def probes(self, number: int, generator: torch.Generator) -> Tensor:
        """Random signs, (number, r)."""
        return random_signs(number, self.diagonal.numel(), self.diagonal, generator)


def diagonal_root(rows: Iterator[Tensor], tolerance: float | None = None) -> DiagonalRoot:
    """The diagonal of AᵀA for the rows of A, (k, D) at a time.

    tolerance: entries below tolerance² of the largest count as zero (default: (D·eps)²), as for singular values.
    Raises SharpnessError where all of it vanishes.
    """
    total = torch.stack([part.square().sum(0) for part in rows]).sum(0)
    relative = total.numel() * torch.finfo(total.dtype).eps if tolerance is None else tolerance
    kept = (total > relative**2 * total.max()).nonzero().squeeze(1)
    if kept.numel() == 0:
        raise SharpnessError("the Fisher information vanishes: the outputs depend on no measured parameter")
    rest = total.clone()
    rest[kept] = 0
    dropped = float(rest.max())
    gap = float((total[kept].min() / dropped) ** 0.5) if dropped > 0 else float("inf")
    return DiagonalRoot(kept, total[kept], total.numel(), gap)
