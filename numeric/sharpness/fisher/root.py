"""What the measures ask of an estimate of the Fisher information."""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor


class Root(Protocol):
    """W (D, r) with W Wᵀ = F⁺ for an estimate of F, as maps of rows, and what the estimate says about its rank.

    effective_rank: (tr F)²/tr F², dimensionless. gap: the last singular value of F's root that counts over the first
    that does not.
    """

    @property
    def rank(self) -> int: ...

    @property
    def effective_rank(self) -> float: ...

    @property
    def gap(self) -> float: ...

    @property
    def condition(self) -> float:
        """The largest singular value of W over the smallest."""
        ...

    def lift(self, coordinates: Tensor) -> Tensor:
        """W z for rows z: (k, r) -> (k, D)."""
        ...

    def lower(self, covectors: Tensor) -> Tensor:
        """Wᵀ g for rows g: (k, D) -> (k, r)."""
        ...

    def probes(self, number: int, generator: torch.Generator) -> Tensor:
        """Random z (number, r) with E zzᵀ = 1."""
        ...


def stated_gap(root: Root) -> float | None:
    """The root's gap as a number that JSON knows: None where nothing lies below the rank."""
    return root.gap if math.isfinite(root.gap) else None
