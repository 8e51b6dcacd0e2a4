"""How many parameters a certificate takes, and sizes that would do where those asked for are too large."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import sympy as sp

from symtheory.errors import CertificateError, ShapeError
from symtheory.graph.computation_graph import ComputationGraph
from symtheory.graph.shapes import element_count
from symtheory.symmetry.certificate.circuit import Circuit, compile_circuit

# Modulo the prime, and in float64. With a group of dimension D/2 the first takes a minute on one core, the second ten
# seconds.
LARGEST_EXACT, LARGEST_ROUNDED = 200, 128

Graph = TypeVar("Graph", bound=ComputationGraph)


def bound_for_certificate(graph: Graph, sizes: Mapping[str, int]) -> Graph:
    """The graph bound to the sizes.

    Raises ``DeclarationError`` for a size that is missing, ``ShapeError`` for one that does not fit, and
    ``CertificateError`` for too many parameters, naming sizes that would do.
    """
    bound = graph.bind(**sizes) if sizes else graph
    bound.require_bound()
    try:
        require_few_parameters(bound)
    except CertificateError as error:
        smaller = fitting_sizes(graph, sizes)
        if smaller is None:
            raise
        listed = ", ".join(f"{name}={size}" for name, size in smaller.items())
        raise CertificateError(f"{error}; try certify({listed})") from None
    return bound


def require_few_parameters(graph: ComputationGraph) -> Circuit:
    """The circuit of a bound graph; ``CertificateError`` where it has too many parameters, with the number allowed."""
    count = int(parameter_count(graph))
    if count > LARGEST_EXACT:
        raise CertificateError(_too_many(graph, count, LARGEST_EXACT, ""))
    circuit = compile_circuit(graph)
    if count > largest(circuit):
        raise CertificateError(_too_many(graph, count, LARGEST_ROUNDED, " in floating point"))
    return circuit


def largest(circuit: Circuit) -> int:
    """The number of parameters that a certificate of such a graph takes."""
    return LARGEST_EXACT if circuit.is_exact else LARGEST_ROUNDED


def parameter_count(graph: ComputationGraph) -> sp.Expr:
    """Entries of all parameters, D; an expression in the free sizes."""
    return sp.Add(*(element_count(shape) for shape in graph.parameters.values()))


def fitting_sizes(graph: ComputationGraph, sizes: Mapping[str, int]) -> dict[str, int] | None:
    """The same sizes with the largest ones cut down until a certificate takes the graph; None where none would do.

    graph: as it was declared, with free sizes.
    """
    fitting = _cut_down(graph, sizes, LARGEST_EXACT)
    if fitting is None:
        return None
    allowed = largest(compile_circuit(graph.bind(**fitting)))
    return fitting if allowed == LARGEST_EXACT else _cut_down(graph, sizes, allowed)


def _cut_down(graph: ComputationGraph, sizes: Mapping[str, int], allowed: int) -> dict[str, int] | None:
    symbols = {str(symbol): symbol for symbol in graph.free_sizes}
    formula = parameter_count(graph)

    def few_enough(chosen: Mapping[str, int]) -> bool:
        return bool(formula.subs({symbols[name]: size for name, size in chosen.items()}) <= allowed)

    def capped(cap: int) -> dict[str, int]:
        return {name: min(size, cap) for name, size in sizes.items()}

    low, high = 0, max(sizes.values(), default=0)  # sizes cut at ``low`` do; 0 stands for none
    while low < high:
        cap = (low + high + 1) // 2
        low, high = (cap, high) if few_enough(capped(cap)) else (low, cap - 1)
    for cap in range(low, 0, -1):
        chosen = capped(cap)
        for name, size in sizes.items():
            longer = {**chosen, name: min(size, cap + 1)}
            chosen = longer if few_enough(longer) else chosen
        if _fits(graph, chosen):
            return chosen
    return None


def _fits(graph: ComputationGraph, sizes: Mapping[str, int]) -> bool:
    """Whether the operations take such sizes, as a reshape in halves does not take an odd one."""
    try:
        graph.bind(**sizes)
    except ShapeError:
        return False
    return True


def _too_many(graph: ComputationGraph, count: int, allowed: int, where: str) -> str:
    return (
        f"{count} parameters are too many for a certificate of '{graph.name}'{where}: "
        f"bind sizes with at most {allowed} parameters in all"
    )
