"""Torch functions that determinants of Gram matrices of a group's fields are made of, as text."""

from __future__ import annotations

PAIR_SUMS = '''\
def _log_pair_sums(values: Tensor, diagonal: int) -> Tensor:
    """Σ log(values_i + values_j) over i <= j for diagonal 0, i < j for diagonal 1: (*batch)."""
    return (values[..., :, None] + values[..., None, :]).log().triu(diagonal).sum((-2, -1))
'''

SYMMETRIC_BASIS = '''\
def _symmetric_basis(size: int, like: Tensor) -> Tensor:
    """An orthonormal basis of symmetric matrices, one a row: (size (size + 1) / 2, size²)."""
    i, j = torch.triu_indices(size, size, device=like.device)
    unit = torch.eye(size * size, dtype=like.dtype, device=like.device)
    scale = torch.where(i == j, 0.25, 0.5).to(like.dtype).sqrt()
    return scale[:, None] * (unit[i * size + j] + unit[j * size + i])
'''

SKEW_BASIS = '''\
def _skew_basis(size: int, like: Tensor) -> Tensor:
    """An orthonormal basis of skew matrices, one a row: (size (size - 1) / 2, size²)."""
    i, j = torch.triu_indices(size, size, 1, device=like.device)
    unit = torch.eye(size * size, dtype=like.dtype, device=like.device)
    return 0.5**0.5 * (unit[i * size + j] - unit[j * size + i])
'''

DIAGONAL_BASIS = '''\
def _diagonal_basis(size: int, like: Tensor) -> Tensor:
    """The diagonal matrices with a single 1, (size, size²), one matrix a row."""
    return torch.eye(size * size, dtype=like.dtype, device=like.device)[:: size + 1]
'''

TWO_SIDED = '''\
def _two_sided(left: Tensor, right: Tensor) -> Tensor:
    """The matrix of A ↦ left A right, entries of A and of the result counted row by row."""
    return torch.einsum("...ij,...lk->...ikjl", left, right).flatten(-2).flatten(-3, -2)
'''

CROSSED = '''\
def _crossed(left: Tensor, right: Tensor) -> Tensor:
    """The matrix of A ↦ left Aᵀ right, entries of A and of the result counted row by row."""
    return torch.einsum("...ij,...lk->...iklj", left, right).flatten(-2).flatten(-3, -2)
'''

ASSEMBLED = '''\
def _assembled(blocks: list[list[Tensor]]) -> Tensor:
    """A matrix from its blocks, (*batch, rows, columns) each."""
    batch = torch.broadcast_shapes(*(block.shape[:-2] for row in blocks for block in row))
    rows = [torch.cat([b.expand(*batch, *b.shape[-2:]) for b in row], -1) for row in blocks]
    return torch.cat(rows, -2)
'''

DETERMINANT_HELPERS = {
    "_log_pair_sums": PAIR_SUMS,
    "_symmetric_basis": SYMMETRIC_BASIS,
    "_skew_basis": SKEW_BASIS,
    "_diagonal_basis": DIAGONAL_BASIS,
    "_two_sided": TWO_SIDED,
    "_crossed": CROSSED,
    "_assembled": ASSEMBLED,
}
"""Private functions, by name."""
