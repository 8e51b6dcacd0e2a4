"""Nested Lie brackets of vector fields at a point, from commutators of infinitesimal flows.

With ε_i² = 0 the steps z ↦ z ± ε_i f_i(z) are inverse to each other, and the product ε_1 ⋯ ε_k s in

    (id − ε_1 f_1) ∘ ⋯ ∘ (id − ε_k f_k) ∘ (id + s g) ∘ (id + ε_k f_k) ∘ ⋯ ∘ (id + ε_1 f_1) (z)

has the coefficient [f_1, [f_2, … [f_k, g]]](z). So k brackets cost 2k + 1 values, and no derivative is written out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from symtheory.symmetry.certificate.truncated_algebra import TruncatedAlgebra, times_bit, without_bit

VectorField = Callable[[np.ndarray], np.ndarray]
"""Vector fields on R^N, one for each member of a batch: points (batch or 1, N, 2^k) to values (batch, N, 2^k)."""


def nested_bracket(algebra: TruncatedAlgebra, point: np.ndarray, fields: Sequence[VectorField]) -> np.ndarray:
    """[f_1, [f_2, … [f_k, g]]](z) for fields (f_1, …, f_k, g) at a point (1, N) of the algebra; shape (batch, N)."""
    last = len(fields) - 1
    state = point[..., None]
    for bit, field in enumerate(fields):
        state = algebra.add([state, times_bit(field(state), bit)])
    for bit in reversed(range(last)):
        change = fields[bit](without_bit(state, bit))
        state = algebra.add([state, algebra.reduce(-times_bit(change, bit))])
    return np.asarray(state[..., -1])
