"""Compare the group found by the graph rules with everything that exact linear algebra finds on one instance."""

from __future__ import annotations

import numpy as np

from symtheory.errors import CertificateError
from symtheory.graph.computation_graph import ComputationGraph
from symtheory.symmetry.certificate.affine_fields import affine_fields
from symtheory.symmetry.certificate.affine_fields_float import affine_fields_float
from symtheory.symmetry.certificate.certificate import Certificate
from symtheory.symmetry.certificate.circuit import compile_circuit
from symtheory.symmetry.certificate.factor_fields import EntryNumbers, factor_fields
from symtheory.symmetry.certificate.field_space import Ranks, dense, outside, values_at
from symtheory.symmetry.certificate.field_text import field_text
from symtheory.symmetry.certificate.gradient_source import GradientSource
from symtheory.symmetry.certificate.lie_dimension import lie_dimension
from symtheory.symmetry.group import SymmetryGroup

# Modulo the prime a piecewise linear graph of 145 parameters takes about ten seconds on one core.
LARGEST_DIMENSION = 200


def certify(graph: ComputationGraph, group: SymmetryGroup, seed: int = 0) -> Certificate:
    """The certificate of a bound graph and the group found on it; equal seeds give equal certificates.

    Rational and piecewise linear graphs (relu, leaky_relu, abs) are evaluated modulo a prime: a rank is right but for
    an unlucky draw, of a chance about the degree of the predictor over 2^21. Others are evaluated in float64, and
    ``method`` gives the narrowest rank gap.

    Raises ``DeclarationError`` for unbound sizes, ``CertificateError`` for too many parameters (naming how many would
    do), for a group of other sizes, and for ranks that rounding hides.
    """
    graph.require_bound()
    entries = EntryNumbers.of(graph.parameters)
    for factor in group:
        entries.require(factor)
    count = sum(array.size for array in entries.arrays.values())
    if count > LARGEST_DIMENSION:
        raise CertificateError(
            f"{count} parameters are too many for a certificate of '{graph.name}': "
            f"bind sizes with at most {LARGEST_DIMENSION} parameters in all"
        )
    circuit = compile_circuit(graph)
    source = GradientSource(circuit, seed)
    ranks = Ranks(source.algebra)
    fields = _all_affine_fields(source, ranks)
    point, jacobian_rank = source.regular_point(ranks)
    flat = fields.reshape(len(fields), count * (count + 1))
    parts = {factor.name: dense(factor_fields(factor, entries), count, source.algebra) for factor in group}
    refuted = tuple(name for name, part in parts.items() if ranks(np.concatenate([flat, part])) > len(flat))
    known = np.concatenate([np.zeros((0, count * (count + 1)), dtype=source.algebra.dtype), *parts.values()])
    missed = [
        field_text(fields[place], circuit.parameter_names, source.algebra.modulus)
        for place in outside(known, flat, ranks)
    ]
    return Certificate(
        name=graph.name,
        parameter_count=count,
        group_dimension=int(group.dimension),
        affine_dimension=len(fields),
        orbit_dimension=ranks(values_at(fields, source.values(point), source.algebra)),
        jacobian_nullity=count - jacobian_rank,
        lie_algebra_dimension=lie_dimension(source, point, ranks),
        missed=tuple(missed),
        refuted=refuted,
        method=ranks.method,
    )


def _all_affine_fields(source: GradientSource, ranks: Ranks) -> np.ndarray:
    if source.algebra.modulus is not None:
        return affine_fields(source)
    fields, found = affine_fields_float(source)
    ranks.gaps.append(found.gap)
    return fields
