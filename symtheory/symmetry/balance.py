"""Canonical gauges: the group elements that bring a point to the balanced representative of its orbit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from symtheory.errors import DomainError
from symtheory.lazy_module import LazyModule

if TYPE_CHECKING:
    import numpy as np
else:
    np = LazyModule("numpy")

# Eigenvalues of a Gram matrix below this part of the largest one count as zero in float64.
RANK_TOLERANCE = 1e-13
# Halvings of the bracket: from its width to the last bit of a float64.
HALVINGS = 120


def geometric_mean_gauge(moved: np.ndarray, countered: np.ndarray, where: str) -> np.ndarray:
    """A with A P Aᵀ = A^{−ᵀ} N A^{−1}, for Gram matrices P and N of shape (*copies, h, h).

    M = AᵀA solves M P M = N, so it is the geometric mean of P⁻¹ and N, and A its root. This is the point of smallest
    norm on the orbit, where the moment map vanishes. Raises ``DomainError`` for a Gram matrix without full rank: the
    norm then has no minimum on the orbit.
    """
    root, inverse_root = _roots(moved, where)
    inner, _ = _roots(root @ countered @ root, where)
    mean = inverse_root @ inner @ inverse_root
    return _roots(mean, where)[0]


def _roots(matrix: np.ndarray, where: str) -> tuple[np.ndarray, np.ndarray]:
    """The symmetric square root and its inverse."""
    values, vectors = np.linalg.eigh((matrix + matrix.swapaxes(-1, -2)) / 2)
    if np.any(values <= RANK_TOLERANCE * values.max(axis=-1, keepdims=True)):
        raise DomainError(f"{where}: a Gram matrix has no full rank here, so the orbit has no balanced point")
    roots = np.sqrt(values)[..., None, :]
    transposed = vectors.swapaxes(-1, -2)
    return (vectors * roots) @ transposed, (vectors / roots) @ transposed


def diagonalising_rotation(gram: np.ndarray, fixing_ones: bool = False) -> np.ndarray:
    """Orthogonal Q (*copies, h, h) that makes Q S Qᵀ diagonal with falling entries.

    fixing_ones: of the rotations that fix the ones vector; S is made diagonal on the complement of that vector, in
    Helmert's basis.
    """
    if not fixing_ones:
        return np.linalg.eigh(gram)[1][..., ::-1].swapaxes(-1, -2)
    basis = helmert(gram.shape[-1])
    vectors = np.linalg.eigh(basis.T @ gram @ basis)[1][..., ::-1]
    return in_complement(vectors.swapaxes(-1, -2))


def in_complement(matrix: np.ndarray) -> np.ndarray:
    """The orthogonal matrix (*copies, h, h) that fixes the ones vector and acts on its complement as (*copies, h − 1,
    h − 1) says in Helmert's basis."""
    size = matrix.shape[-1] + 1
    basis = helmert(size)
    return np.asarray(basis @ matrix @ basis.T + np.ones((size, size)) / size)


def helmert(size: int) -> np.ndarray:
    """Orthonormal basis (h, h − 1) of the complement of the ones vector."""
    columns = np.triu(np.ones((size, size - 1)))
    columns[np.arange(1, size), np.arange(size - 1)] = -np.arange(1.0, size)
    return np.asarray(columns / np.linalg.norm(columns, axis=0))


def positive_rows(rows: np.ndarray) -> np.ndarray:
    """Diagonal signs (*copies, h, h) that make the entry of largest modulus of every row (*copies, h, m) positive."""
    largest = np.take_along_axis(rows, np.abs(rows).argmax(axis=-1, keepdims=True), axis=-1)[..., 0]
    return np.asarray(np.where(largest < 0, -1.0, 1.0)[..., None] * np.eye(rows.shape[-2]))


def balancing_factor(exponents: np.ndarray, squares: np.ndarray, where: str) -> np.ndarray:
    """The positive s (*copies) at which Σ_i c_i q_i s^{2 c_i} = 0; where all c_i have one sign, = ± 1.

    exponents: c (count); squares: q ≥ 0 of shape (count, *copies), what the factor multiplies, squared and summed.
    The left side rises with s, so there is one solution. Raises ``DomainError`` where all q of one sign vanish.
    """
    c = exponents.reshape(-1, *(1,) * (squares.ndim - 1))
    target = 0.0 if (exponents > 0).any() and (exponents < 0).any() else float(np.sign(exponents.sum()))
    for sign in (1, -1):
        used = exponents * sign > 0
        if used.any() and np.any((squares[used] > 0).sum(axis=0) == 0):
            raise DomainError(f"{where}: what it rescales is zero here, so the orbit has no balanced point")

    def excess(t: np.ndarray) -> np.ndarray:
        terms = c * squares * np.exp(2 * c * t)
        return np.asarray(terms.sum(axis=0) - target)

    low, high = -np.ones(squares.shape[1:]), np.ones(squares.shape[1:])
    while np.any(excess(low) > 0) or np.any(excess(high) < 0):
        low, high = np.where(excess(low) > 0, 2 * low, low), np.where(excess(high) < 0, 2 * high, high)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        above = excess(middle) > 0
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return np.asarray(np.exp((low + high) / 2))
