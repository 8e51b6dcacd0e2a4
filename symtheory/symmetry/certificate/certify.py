"""Compare the group found by the graph rules with everything that exact linear algebra finds on one instance."""

from __future__ import annotations

import numpy as np

from symtheory.errors import CertificateError
from symtheory.graph.computation_graph import ComputationGraph
from symtheory.symmetry.certificate.affine_fields import affine_fields
from symtheory.symmetry.certificate.certificate import Certificate
from symtheory.symmetry.certificate.factor_fields import EntryNumbers, factor_fields
from symtheory.symmetry.certificate.field_space import Ranks, dense, values_at
from symtheory.symmetry.certificate.field_text import field_text
from symtheory.symmetry.certificate.gradient_source import GradientSource
from symtheory.symmetry.certificate.group_comparison import compare_group
from symtheory.symmetry.certificate.lie_dimension import lie_dimension
from symtheory.symmetry.certificate.momentum_lie_dimension import momentum_lie_dimension
from symtheory.symmetry.certificate.size_limit import require_few_parameters
from symtheory.symmetry.group import SymmetryGroup


def certify(graph: ComputationGraph, group: SymmetryGroup, seed: int = 0) -> Certificate:
    """The certificate of a bound graph and the group found on it; equal seeds give equal certificates.

    Rational and piecewise linear graphs (relu, leaky_relu, abs) are evaluated modulo a prime: a rank is right but for
    an unlucky draw, of a chance about the degree of the predictor over 2^21. Others are evaluated in float64, and
    ``method`` gives the narrowest rank gap.

    Raises ``DeclarationError`` for unbound sizes, ``CertificateError`` for too many parameters (naming how many would
    do), for a group of other sizes, for ranks that rounding hides, and where random samples do not reach every piece.
    """
    # What overflows or divides by zero at a random point is dropped where it is used.
    with np.errstate(all="ignore"):
        return _certify(graph, group, seed)


def _certify(graph: ComputationGraph, group: SymmetryGroup, seed: int) -> Certificate:
    graph.require_bound()
    entries = EntryNumbers.of(graph.parameters)
    for factor in group:
        entries.require(factor)
    circuit = require_few_parameters(graph)
    count = len(circuit.parameter_names)
    source = GradientSource(circuit, seed)
    ranks = Ranks(source.algebra)
    family = affine_fields(source)
    ranks.gaps += [family.gap] if family.gap else []
    entries = EntryNumbers.of(graph.parameters, source.constant_values(graph.constants))
    factors = {factor.name: dense(factor_fields(factor, entries), count, source.algebra) for factor in group}
    compared = compare_group(family, factors, ranks)
    point, jacobian_rank = source.regular_point(ranks)
    orbit_dimension = ranks(values_at(family.basis(), source.values(point), source.algebra))
    if orbit_dimension > count - jacobian_rank:
        raise CertificateError(
            f"random samples do not reach every piece of '{graph.name}', so that fields which move it look like "
            "symmetries: no certificate"
        )
    return Certificate(
        name=graph.name,
        parameter_count=count,
        group_dimension=int(group.dimension),
        affine_dimension=compared.affine_dimension,
        translation_products=compared.products,
        orbit_dimension=orbit_dimension,
        jacobian_nullity=count - jacobian_rank,
        lie_algebra_dimension=lie_dimension(source, point, ranks),
        momentum_lie_dimension=momentum_lie_dimension(source, point, ranks),
        missed=tuple(field_text(field, circuit.parameter_names, source.algebra.modulus) for field in compared.missed),
        refuted=compared.refuted,
        method=ranks.method,
    )
