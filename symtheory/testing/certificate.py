"""Law: the group found is all there is among affine symmetries, or says that it is a lower bound."""

from __future__ import annotations

from symtheory.errors import DeclarationError
from symtheory.parametrization import Parametrization
from symtheory.symmetry.certificate import Certificate, certify
from symtheory.testing.arrays import require_sizes
from symtheory.testing.subject import Symmetry, group_of

LONGEST_LIST = 4


def certificate_agrees(symmetry: Symmetry, function: Parametrization | None = None, seed: int = 0) -> None:
    """No factor is refuted, and every affine symmetry is in the group unless the group says ``lower_bound``.

    A group is held against the graph given as ``function``. Raises ``AssertionError`` naming the factors that are
    refuted with the parameters they move, or the fields that are missed, with the dimensions on both sides;
    ``CertificateError`` for an instance that is too large, ``DeclarationError`` for unbound sizes.
    """
    graph = symmetry if function is None else function
    if not isinstance(graph, Parametrization):
        raise DeclarationError("a certificate needs a declared graph: pass a Parametrization")
    require_sizes(graph)
    group = group_of(symmetry)
    certificate = certify(graph, group, seed)
    dimensions = (
        f"the group has dimension {certificate.group_dimension}, all affine symmetries {certificate.affine_dimension}"
    )
    if certificate.refuted:
        refuted = ", ".join(f"factor '{name}' on {', '.join(group[name].shapes)}" for name in certificate.refuted)
        raise AssertionError(f"certificate_agrees: {refuted} is no symmetry of '{graph.name}': {dimensions}")
    if certificate.group_dimension > certificate.affine_dimension:
        raise AssertionError(
            f"certificate_agrees: the factors of '{graph.name}' overlap, and are counted twice: {dimensions}"
        )
    if not certificate.affine_complete and not group.lower_bound:
        raise AssertionError(
            f"certificate_agrees: the group of '{graph.name}' misses {_missed(certificate)}: {dimensions}"
        )


def _missed(certificate: Certificate) -> str:
    left = len(certificate.missed) - LONGEST_LIST
    more = f" and {left} more" if left > 0 else ""
    return "; ".join(certificate.missed[:LONGEST_LIST]) + more
