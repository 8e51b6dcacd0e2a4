"""All affine vector fields X(θ) = Mθ + b with Dφ(θ; x)[X(θ)] = 0, modulo the prime.

The unknown field is restricted to affine subspaces θ_0 + span(v_j, j in a block), where it is X_0 + Σ_j s_j M v_j. On
a line it has 2D unknowns; solutions on two blocks that agree at θ_0 are joined, and gradients at random points of the
joined block cut the result down. So no system has many more unknowns than twice the solutions of a block, where the
direct system would have D(D + 1). The directions v_j are random: along one parameter alone many fields that are no
symmetries look affine, and the blocks would be large.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from symtheory.symmetry.certificate import modular_matrix
from symtheory.symmetry.certificate.gradient_source import GradientSource
from symtheory.symmetry.certificate.truncated_algebra import PRIME

# Random equations beyond the number of unknowns; each is independent of the others up to a chance of about 1/PRIME.
SPARE = 10
# Equations for each parameter in the check of the whole space, which is repeated until it changes nothing.
EVERYWHERE = 6
# Directions have small integer entries and steps 16 bits (over 2^20), so that points stay of order one and exact.
DIRECTION, STEP = 8, 2**16


@dataclass(frozen=True)
class _Block:
    """Directions (count, D), and a basis (fields, 1 + count, D) of X_0 and the vectors M v_j."""

    directions: np.ndarray
    basis: np.ndarray


def affine_fields(source: GradientSource) -> np.ndarray:
    """Basis (fields, D, D + 1): columns of M, then b; row-reduced. The solution is an upper bound that more random
    equations can only lower, and they are added until they do not."""
    dimension = source.dimension
    origin = source.numerators(1, dimension)
    free = _fields_on_a_line(source, origin)
    directions = source.nonzero_integers(DIRECTION, dimension, dimension)
    blocks = _restrict_all(source, origin, [_Block(row[None], free) for row in directions])
    while len(blocks) > 1:
        joined = [_join(left, right) for left, right in zip(blocks[::2], blocks[1::2], strict=False)]
        blocks = _restrict_all(source, origin, joined) + blocks[2 * len(joined) :]
    whole = blocks[0]
    while len(whole.basis):
        smaller = _restrict_everywhere(source, origin, whole)
        if len(smaller.basis) == len(whole.basis):
            break
        whole = smaller
    return _as_affine(whole, source.values(origin)[0])


def _fields_on_a_line(source: GradientSource, origin: np.ndarray) -> np.ndarray:
    """All X_0 + s X_1 with X_0 in the kernel of the differential at θ_0, as a basis (unknowns, 2, D)."""
    dimension = source.dimension
    kernel = modular_matrix.nullspace(source.rows(np.repeat(origin, dimension + SPARE, axis=0)))
    basis = np.zeros((len(kernel) + dimension, 2, dimension), dtype=np.int64)
    basis[: len(kernel), 0] = kernel
    basis[len(kernel) :, 1] = np.eye(dimension, dtype=np.int64)
    return basis


def _restrict_all(source: GradientSource, origin: np.ndarray, blocks: list[_Block]) -> list[_Block]:
    """Each block cut down by gradients at random points of its own subspace; all evaluated in one batch."""
    counts = [len(block.basis) + SPARE for block in blocks]
    steps = [source.nonzero_integers(STEP, count, len(b.directions)) for count, b in zip(counts, blocks, strict=True)]
    points = [origin + step @ block.directions for step, block in zip(steps, blocks, strict=True)]
    rows = np.split(source.rows(np.concatenate(points)), np.cumsum(counts)[:-1])
    return [_restrict(*args) for args in zip(blocks, rows, map(source.values, steps), strict=True)]


def _restrict_everywhere(source: GradientSource, origin: np.ndarray, whole: _Block) -> _Block:
    """The block of all directions cut down at points of the whole space: near θ_0 a unit may be off for all data."""
    theta = source.numerators(EVERYWHERE * source.dimension + SPARE, source.dimension)
    inverse = modular_matrix.inverse(whole.directions % PRIME)
    steps = modular_matrix.multiply((source.values(theta) - source.values(origin)) % PRIME, inverse)
    return _restrict(whole, source.rows(theta), steps)


def _restrict(block: _Block, rows: np.ndarray, steps: np.ndarray) -> _Block:
    if not len(block.basis):
        return block
    factors = np.concatenate([np.ones((len(rows), 1), dtype=np.int64), steps], axis=1)
    unknowns = (factors[:, :, None] * rows[:, None, :] % PRIME).reshape(len(rows), -1)
    flat = block.basis.reshape(len(block.basis), -1)
    solutions = modular_matrix.nullspace(modular_matrix.multiply(unknowns, flat.T))
    return _Block(block.directions, _combine(solutions, block.basis))


def _join(left: _Block, right: _Block) -> _Block:
    """Pairs of solutions with the same X_0."""
    count = len(left.basis)
    agreement = np.concatenate([left.basis[:, 0], -right.basis[:, 0] % PRIME]).T
    pairs = modular_matrix.nullspace(agreement)
    parts = [_combine(pairs[:, :count], left.basis), _combine(pairs[:, count:], right.basis[:, 1:])]
    return _Block(np.concatenate([left.directions, right.directions]), np.concatenate(parts, axis=1))


def _combine(coefficients: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Linear combinations, one a row of ``coefficients``, of the members of a basis (members, vectors, D)."""
    members, vectors, dimension = basis.shape
    flat = basis.reshape(members, vectors * dimension)
    return modular_matrix.multiply(coefficients, flat).reshape(len(coefficients), vectors, dimension)


def _as_affine(block: _Block, origin: np.ndarray) -> np.ndarray:
    """From X_0 and M v_j to M and b = X_0 − Mθ_0."""
    fields, _, dimension = block.basis.shape
    inverse = modular_matrix.inverse(block.directions % PRIME)  # rows of the directions are the v_j
    transposed = block.basis[:, 1:].transpose(0, 2, 1).reshape(fields * dimension, dimension)
    linear = modular_matrix.multiply(transposed, inverse.T).reshape(fields, dimension, dimension)
    moved = (linear * origin % PRIME).sum(axis=-1)
    shift = (block.basis[:, 0] - moved) % PRIME
    result = np.concatenate([linear, shift[:, :, None]], axis=2).reshape(fields, dimension * (dimension + 1))
    return modular_matrix.row_echelon(result).reshape(-1, dimension, dimension + 1)
