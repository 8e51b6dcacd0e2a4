"""Linear algebra modulo the prime, on int64 arrays of residues."""

from __future__ import annotations

import flint
import numpy as np

from symtheory.symmetry.certificate.truncated_algebra import PRIME


def as_flint(matrix: np.ndarray) -> flint.nmod_mat:
    """The same matrix as python-flint holds it."""
    rows, columns = matrix.shape
    return flint.nmod_mat(rows, columns, matrix.ravel().tolist(), PRIME)


def as_array(matrix: flint.nmod_mat) -> np.ndarray:
    """The same matrix as an array (rows, columns)."""
    entries = [int(entry) for entry in matrix.entries()]
    return np.array(entries, dtype=np.int64).reshape(matrix.nrows(), matrix.ncols())


def rank(matrix: np.ndarray) -> int:
    """Rank; 0 for an empty matrix."""
    return int(as_flint(matrix).rank()) if matrix.size else 0


def nullspace(matrix: np.ndarray) -> np.ndarray:
    """Basis of {x : matrix · x = 0}, one vector a row."""
    if not matrix.shape[1]:
        return np.zeros((0, 0), dtype=np.int64)
    columns, dimension = as_flint(matrix).nullspace()
    # The columns behind the basis are zeros; dropping them before leaving flint saves most of the conversion.
    return as_array(columns * as_flint(np.eye(matrix.shape[1], dimension, dtype=np.int64))).T


def row_echelon(matrix: np.ndarray) -> np.ndarray:
    """Reduced row echelon form without zero rows."""
    if not matrix.size:
        return matrix
    reduced, found = as_flint(matrix).rref()
    return as_array(reduced)[:found]


def inverse(matrix: np.ndarray) -> np.ndarray:
    """Of an invertible matrix."""
    return as_array(as_flint(matrix).inv())


def multiply(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """left @ right modulo the prime, by exact float64 products of 16-bit halves (inner size below 2^20)."""
    (low, high), (small, large) = (
        ((part & 0xFFFF).astype(np.float64), (part >> 16).astype(np.float64)) for part in (left, right)
    )
    # Every sum of products stays below 2^53, and 2^32 is 2 modulo the prime.
    middle = (low @ large + high @ small).astype(np.int64) % PRIME
    return np.asarray(((low @ small).astype(np.int64) + (middle << 16) + 2 * (high @ large).astype(np.int64)) % PRIME)
