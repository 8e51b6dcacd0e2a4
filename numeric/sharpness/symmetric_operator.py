"""What the iterative methods ask of a curvature or covariance matrix: its products with a few vectors at a time."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class SymmetricOperator(Protocol):
    """A symmetric D × D matrix A that is never formed.

    dimension: D. product(block): the rows of `block` (m, D) multiplied by A, shape (m, D), detached and in
    memory of its own.
    """

    @property
    def dimension(self) -> int: ...

    def product(self, block: Tensor) -> Tensor: ...
