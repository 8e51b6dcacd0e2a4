"""All affine vector fields X(θ) = Mθ + b with Dφ(θ; x)[X(θ)] = 0, in float64 with a stated rank gap."""

from __future__ import annotations

import numpy as np

from symtheory.errors import CertificateError
from symtheory.symmetry.certificate.gradient_source import GradientSource
from symtheory.symmetry.certificate.numerical_rank import NumericalRank, numerical_rank, row_echelon

# The dense system has D(D + 1) unknowns; its singular values take a few seconds at this D.
LARGEST_DIMENSION = 40
SPARE = 40


def affine_fields_float(source: GradientSource) -> tuple[np.ndarray, NumericalRank]:
    """Basis (fields, D, D + 1): columns of M, then b, row-reduced; and the rank that decided it.

    Raises ``CertificateError`` above ``LARGEST_DIMENSION`` parameters and where no rank gap is clear.
    """
    dimension = source.dimension
    if dimension > LARGEST_DIMENSION:
        raise CertificateError(
            f"{dimension} parameters are too many for a certificate in floating point: "
            f"bind sizes with at most {LARGEST_DIMENSION} parameters in all"
        )
    count = (dimension * (dimension + 1) + SPARE) * (3 if source.circuit.has_gates else 1)
    theta = source.numerators(count, dimension)
    rows, values = source.rows(theta), source.values(theta)
    factors = np.concatenate([values, np.ones((count, 1))], axis=1)
    found = numerical_rank((rows[:, :, None] * factors[:, None, :]).reshape(count, -1))
    return row_echelon(found.nullspace).reshape(-1, dimension, dimension + 1), found
