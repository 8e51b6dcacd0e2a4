"""Whether the gradient fields of the predictor's entries commute, tested on one instance.

Gradient flow of any loss of w is a mirror flow of w when they do (Li et al. 2022, 2207.04036): then the order in which
the fields are followed does not matter, and w depends on the times alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations, product

import numpy as np

from symtheory.errors import CertificateError, ShapeError
from symtheory.graph.computation_graph import ComputationGraph
from symtheory.symmetry.certificate.circuit import Circuit, compile_circuit
from symtheory.symmetry.certificate.gradient_source import Functionals, GradientSource
from symtheory.symmetry.certificate.nested_bracket import nested_bracket
from symtheory.symmetry.certificate.numerical_rank import FLOOR
from symtheory.symmetry.certificate.size_limit import parameter_count

SIZES = (3, 4, 5, 2)
"""Values tried for free sizes, in this order. Two comes last: normalised pairs are ±1 whatever they are made of."""

MOST_TRIES, MOST_PARAMETERS = 100, 256
COMBINATIONS = 8
"""Random pairs of combinations of the entries that are tested at first."""

ZERO, NONZERO = 1e-10, 1e-6
"""Length of a bracket in float64 over those of its fields: below the one it is rounding, above the other it is not."""


@dataclass(frozen=True)
class Commutator:
    """sizes: those of the instance; pair: two entries of w (of two samples where there are inputs) whose fields do not
    commute, None where all do; exact: evaluated modulo a prime, not in float64.
    """

    sizes: dict[str, int]
    pair: tuple[str, str] | None
    exact: bool

    @property
    def commutes(self) -> bool:
        return self.pair is None

    def __str__(self) -> str:
        at = f" at {', '.join(f'{name} = {size}' for name, size in self.sizes.items())}" if self.sizes else ""
        how = "exactly, modulo a prime" if self.exact else "in floating point"
        if self.pair is None:
            return f"the gradient fields of its entries commute{at} (tested {how})"
        return f"the gradient fields do not commute{at}: [∇{self.pair[0]}, ∇{self.pair[1]}] ≠ 0 (tested {how})"


def commutator(graph: ComputationGraph, seed: int = 0) -> Commutator:
    """The test at small sizes and a random point; equal seeds give equal answers.

    The bracket is bilinear: that of two random combinations vanishes only where all do, up to an unlucky draw. Raises
    ``CertificateError`` where no small sizes fit, for too many parameters, and where rounding hides the answer.
    """
    bound, sizes = _small(graph)
    with np.errstate(all="ignore"):  # what is not finite at a random point is dropped below
        source = GradientSource(_circuit(bound), seed)
        point = source.numerators(1, source.dimension)
        exact = source.algebra.modulus is not None
        left, right = (_combinations(source, point, COMBINATIONS) for _ in range(2))
        if not _nonzero(source, point, left, right).any():
            return Commutator(sizes, None, exact)
        return Commutator(sizes, _pair(source, point, bound), exact)


def _small(graph: ComputationGraph) -> tuple[ComputationGraph, dict[str, int]]:
    names = [str(size) for size in graph.free_sizes]
    for number, values in enumerate(_candidates(len(names))):
        if number >= MOST_TRIES:
            break
        sizes = dict(zip(names, values, strict=True))
        try:
            return (graph.bind(**sizes) if sizes else graph), sizes
        except ShapeError:
            continue
    raise CertificateError(f"no small values of {', '.join(names)} fit '{graph.name}'")


def _circuit(graph: ComputationGraph) -> Circuit:
    count = parameter_count(graph)
    if count > MOST_PARAMETERS:
        raise CertificateError(f"{count} parameters of '{graph.name}' are too many to test whether its fields commute")
    return compile_circuit(graph)


def _candidates(count: int) -> Iterator[tuple[int, ...]]:
    """Values for all sizes, equal ones first."""
    yield from ((size,) * count for size in SIZES)
    yield from product(SIZES, repeat=count)


def _combinations(source: GradientSource, point: np.ndarray, count: int) -> Functionals:
    return source.functionals(point, count, source.sample_pool(point))


def _nonzero(source: GradientSource, point: np.ndarray, left: Functionals, right: Functionals) -> np.ndarray:
    """Which brackets do not vanish, one for each member of the batch."""
    theta = source.values(point)
    found = nested_bracket(source.algebra, theta, [left.gradients, right.gradients])
    if source.algebra.modulus is not None:
        return np.asarray(found.any(axis=1))
    lengths = [np.linalg.norm(part.gradients(theta[..., None])[..., 0], axis=1) for part in (left, right)]
    sizes = np.linalg.norm(found, axis=1) / np.maximum(lengths[0] * lengths[1], FLOOR)
    sizes = sizes[np.isfinite(sizes)]
    if not len(sizes) or ((sizes > ZERO) & (sizes < NONZERO)).any():
        raise CertificateError("rounding hides whether the gradient fields commute")
    return np.asarray(sizes >= NONZERO)


def _pair(source: GradientSource, point: np.ndarray, graph: ComputationGraph) -> tuple[str, str]:
    """The first two entries whose fields do not commute; of one sample and another where there are inputs."""
    outputs = range(len(source.circuit.outputs))
    pairs = [*combinations(outputs, 2), *((index, index) for index in outputs if graph.inputs)]
    for first, second in pairs:
        left, right = (_entry(source, point, index, len(source.circuit.outputs)) for index in (first, second))
        if _nonzero(source, point, left, right).any():
            shape = tuple(int(size) for size in graph.predictor.shape)
            marks = ("(x)", "(x')") if graph.inputs else ("", "")
            labels = [
                f"w{list(map(int, np.unravel_index(index, shape))) if shape else ''}{mark}"
                for index, mark in zip((first, second), marks, strict=True)
            ]
            return labels[0], labels[1]
    raise CertificateError("combinations of the gradient fields do not commute, and no pair of them was found")


def _entry(source: GradientSource, point: np.ndarray, index: int, outputs: int) -> Functionals:
    drawn = _combinations(source, point, COMBINATIONS)
    unit = np.zeros_like(drawn.weights)
    unit[:, index] = 1
    return replace(drawn, weights=unit)
