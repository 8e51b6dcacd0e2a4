"""The row space of a regression, and how well coefficients solve it."""

from __future__ import annotations

import torch
from torch import Tensor

RANK = 1e-9  # singular values below this fraction of the largest one count as zero


def row_space(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """A (r, d) with orthonormal rows and b (r,): {w : A w = b} is the set of least-squares solutions of x w = y."""
    left, values, right = torch.linalg.svd(x, full_matrices=False)
    rank = int((values > RANK * values[0]).sum())
    return right[:rank], (left[:, :rank].mT @ y) / values[:rank]


def relative_misfit(x: Tensor, y: Tensor, w: Tensor) -> Tensor:
    """‖x w − y‖ / ‖y‖ for w (..., d), shape (...)."""
    return torch.linalg.vector_norm(w @ x.mT - y, dim=-1) / torch.linalg.vector_norm(y)
