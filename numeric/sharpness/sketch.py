"""Random probes, and orthonormal bases of what an operator does to them."""

from __future__ import annotations

import torch
from torch import Tensor


def random_signs(number: int, dimension: int, like: Tensor, generator: torch.Generator) -> Tensor:
    """Independent entries ±1, shape (number, dimension), in the dtype and on the device of `like`."""
    bits = torch.randint(0, 2, (number, dimension), generator=generator, device=generator.device, dtype=torch.int8)
    return (2 * bits - 1).to(device=like.device, dtype=like.dtype)


def orthonormal_rows(block: Tensor) -> Tensor:
    """Orthonormal rows that span the rows of `block` (m, D), at most m: directions lost in rounding are left out."""
    frame, triangle = torch.linalg.qr(block.mT)
    lengths = triangle.diagonal().abs()
    return frame[:, lengths > 10 * len(block) * torch.finfo(block.dtype).eps * lengths.max()].mT


def remove(block: Tensor, basis: Tensor) -> Tensor:
    """The rows of `block` (m, D) without their components along the orthonormal rows of `basis` (k, D)."""
    return block - (block @ basis.mT) @ basis
