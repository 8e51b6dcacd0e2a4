"""Conservation laws of gradient flow with momentum: known numbers, brackets written out and nested, isometries."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import sympy as sp
from certificate_cases import deep_linear, deep_relu, shift, source_of, symbolic_momentum_dimension

import symtheory.graph.functions as st
from symtheory.errors import CertificateError
from symtheory.graph.computation_graph import ComputationGraph
from symtheory.symmetry.certificate.affine_fields import affine_fields
from symtheory.symmetry.certificate.field_space import Ranks
from symtheory.symmetry.certificate.gradient_source import FRACTION_BITS, GradientSource
from symtheory.symmetry.certificate.growing_span import growing_span
from symtheory.symmetry.certificate.modular_matrix import multiply, nullspace
from symtheory.symmetry.certificate.momentum_lie_dimension import momentum_lie_dimension
from symtheory.symmetry.certificate.nested_bracket import VectorField, nested_bracket
from symtheory.symmetry.certificate.numerical_rank import numerical_kernel


def laws(graph: ComputationGraph, seed: int = 0, friction: int | None = None) -> int:
    source = source_of(graph, seed)
    ranks = Ranks(source.algebra)
    point, _ = source.regular_point(ranks)
    return 2 * source.dimension + 1 - momentum_lie_dimension(source, point, ranks, friction)


def gram(n: int, h: int) -> ComputationGraph:
    U = st.param("U", n, h)
    return ComputationGraph(U @ U.T, name=f"gram_{n}_{h}")


def one_output(size: int) -> ComputationGraph:
    return ComputationGraph(st.param("u", size) ** 2 @ st.param("v", size), name=f"one_output_{size}")


def hadamard(size: int) -> ComputationGraph:
    return ComputationGraph(st.param("u", size) * st.param("v", size), name=f"hadamard_{size}")


KNOWN = [
    # G Hᵀ: rotations of the inner edge are isometries, ⟨v, Aθ⟩ e^{τt} is kept for antisymmetric A. GL(h) is lost.
    *((deep_linear(n, h, m), h * (h - 1) // 2) for n, h, m in ((2, 2, 2), (3, 2, 3), (4, 3, 4), (5, 3, 2), (5, 8, 5))),
    *((gram(n, h), h * (h - 1) // 2) for n, h in ((2, 2), (3, 2), (3, 3), (5, 4))),
    (deep_linear(3, 3, 3, 3), 6),
    (hadamard(3), 0),
    (deep_relu(3, 2, 2), 0),
    (deep_relu(4, 4, 2), 0),
    (deep_relu(9, 7, 2), 0),
    # a + b moves along one line only. p = v_a − v_b obeys p' = −τ p, and p = (a − b)', so e^{τt} p is kept and, by
    # integrating once more, p + τ (a − b) too: a translation gives two laws, where a rotation gives one.
    (shift(1), 2),
    (shift(3), 6),
    # u · v = (|u + v|² − |u − v|²)/4: rotations of u + v and of u − v are isometries, SO(3) × SO(3).
    (deep_linear(1, 3, 1), 6),
    # SO(4) × SO(4), where a vector of R⁴ with its velocity has the orbit SO(4)/SO(2) of dimension 5.
    (deep_linear(1, 4, 1), 10),
]


@pytest.mark.parametrize(("graph", "expected"), KNOWN, ids=lambda value: getattr(value, "name", str(value)))
def test_known_numbers(graph: ComputationGraph, expected: int) -> None:
    """Marcotte, Gribonval, Peyré (2024), arXiv 2405.12888, for linear and ReLU networks."""
    assert laws(graph) == expected


TINY = [shift(1), hadamard(1), one_output(1), gram(1, 2), gram(2, 2), *(deep_linear(1, h, 1) for h in (1, 2, 3))]
TINY += [deep_linear(2, 1, 1), deep_linear(2, 1, 2), deep_linear(1, 1, 1, 1), deep_linear(2, 2, 1)]


@pytest.mark.parametrize("graph", TINY, ids=lambda graph: graph.name)
@pytest.mark.parametrize("friction", [sp.Integer(0), sp.Rational(3, 4)], ids=str)
def test_against_written_out_brackets(graph: ComputationGraph, friction: sp.Rational) -> None:
    count = sum(int(sp.prod(shape)) for shape in graph.parameters.values())
    expected = 2 * count + 1 - symbolic_momentum_dimension(graph, friction)
    assert laws(graph, friction=int(friction * 2**FRACTION_BITS)) == expected
    assert laws(graph) == expected  # τ does not matter here


def phase_field(source: GradientSource, point: np.ndarray, friction: np.ndarray, strengths: np.ndarray) -> VectorField:
    """a d + c_y on (θ, v)."""
    algebra = source.algebra
    control = source.functionals(point, len(strengths))
    amounts = source.values(strengths)[:, None, None]

    def value(state: np.ndarray) -> np.ndarray:
        position, velocity = np.split(state, 2, axis=1)
        drift = algebra.multiply(velocity, amounts)
        slowing = algebra.reduce(-algebra.multiply(drift, friction))
        return np.concatenate([drift, algebra.add([control.gradients(position), slowing])], axis=1)

    return value


@pytest.mark.parametrize(
    "graph",
    [hadamard(3), one_output(3), deep_linear(3, 2, 3), deep_linear(1, 2, 2, 1), deep_linear(2, 3, 1), shift(2)],
    ids=lambda graph: graph.name,
)
def test_against_nested_brackets(graph: ComputationGraph) -> None:
    """Pullbacks along finite steps span what infinitesimal brackets [f_1, [f_2, … c]] span, f_i = a_i d + c_i."""
    source = source_of(graph, seed=5)
    ranks = Ranks(source.algebra)
    point, _ = source.regular_point(ranks)
    size = 2 * source.dimension
    start = source.values(np.concatenate([point, source.numerators(1, source.dimension)], axis=1))
    friction = source.values(source.numerators(1, 1, 1))

    def draw(count: int, brackets: int) -> np.ndarray:
        strengths = [source.numerators(count) for _ in range(brackets)] + [np.zeros(count, dtype=np.int64)]
        return nested_bracket(
            source.algebra, start, [phase_field(source, point, friction, amount) for amount in strengths]
        )

    assert growing_span(draw, size, 8, ranks, has_pieces=False) == size - laws(graph)


x, sequence = st.input("x", 3), st.input("X", 3, 2)
W2, V = st.param("W", 2, 3), st.param("V", 2, 2)
ROTATIONS_AND_SHIFTS = [
    *(graph for graph, _ in KNOWN if source_of(graph).dimension < 40),
    deep_linear(1, 2, 2, 1),
    deep_linear(1, 3, 3, 1),
    deep_linear(1, 3, 3, 3, 1),
    deep_linear(2, 4, 4, 1),
    deep_linear(3, 3, 2, 3),
    one_output(12),
    ComputationGraph(st.softmax(st.param("A", 3, 3) @ x), name="softmax_classifier"),
    ComputationGraph(V @ st.tanh(W2 @ x), name="tanh_net"),
    ComputationGraph(V @ st.rms_norm(W2 @ x), name="rms_norm_net"),
    ComputationGraph(st.param("V", 2, 3) @ st.layer_norm(st.param("W", 3, 3) @ x), name="layer_norm_net"),
    ComputationGraph(st.normalize(W2) @ x, name="normalized_rows"),
    ComputationGraph(
        st.softmax(sequence @ st.param("Q", 2, 2) @ st.param("K", 2, 2).T @ sequence.T) @ sequence @ V, name="attention"
    ),
    ComputationGraph((st.param("u", 2) * st.param("v", 2)) ** sp.Rational(1, 2), name="root"),
]


@pytest.mark.parametrize("graph", ROTATIONS_AND_SHIFTS, ids=lambda graph: graph.name)
def test_laws_are_those_of_the_isometries(graph: ComputationGraph) -> None:
    """Noether's theorem gives a law e^{τt}⟨v, Aθ + b⟩ for every antisymmetric A, and a second one where A = 0."""
    assert laws(graph) == noether_laws(source_of(graph))


def noether_laws(source: GradientSource) -> int:
    """Rank of the differentials, on (θ, v), of the laws that the affine isometries give."""
    exact = source.algebra.modulus is not None
    family = affine_fields(source)
    fields = family.everything()
    kernel: Callable[[np.ndarray], np.ndarray] = nullspace if exact else lambda matrix: numerical_kernel(matrix)[0]
    dimension, reduce = source.dimension, source.algebra.reduce
    rotations = combinations_that_vanish(fields, fields[:, :, :-1] + fields[:, :, :-1].transpose(0, 2, 1), kernel)
    shifts = combinations_that_vanish(rotations, rotations[:, :, :-1], kernel)[:, :, -1]
    theta, velocity = (source.values(source.numerators(1, dimension)) for _ in range(2))
    matrices, constants = rotations[:, :, :-1], rotations[:, :, -1]
    along_velocity = reduce(reduce(matrices * theta).sum(axis=2) + constants)
    along_position = reduce(-reduce(matrices * velocity).sum(axis=2))  # Aᵀ v
    tau = source.values(source.numerators(1))
    first = np.concatenate([along_position, along_velocity], axis=1)
    second = np.concatenate([reduce(tau * shifts), shifts], axis=1)  # ⟨v + τθ, b⟩
    return Ranks(source.algebra)(np.concatenate([first, second]))


def combinations_that_vanish(
    fields: np.ndarray, parts: np.ndarray, kernel: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """The combinations of fields (count, D, D + 1) for which the same combination of ``parts`` is zero."""
    if not len(fields):
        return fields
    flat = fields.reshape(len(fields), -1)
    chosen = kernel(parts.reshape(len(fields), -1).T)
    combined = chosen @ flat if fields.dtype == np.float64 else multiply(chosen, flat)
    return combined.reshape(-1, *fields.shape[1:])


def test_seed_does_not_matter() -> None:
    assert {laws(deep_relu(3, 2, 2), seed) for seed in range(5)} == {0}
    assert {laws(deep_linear(2, 3, 1), seed) for seed in range(5)} == {3}


def test_paths_out_of_the_domain_are_dropped_and_too_many_are_refused() -> None:
    root = ComputationGraph(st.param("u", 2) ** sp.Rational(1, 2) - st.param("v", 2) ** sp.Rational(1, 2))
    source = source_of(root)
    point, _ = source.regular_point(Ranks(source.algebra))
    assert momentum_lie_dimension(source, point, Ranks(source.algebra)) == 9
    with pytest.raises(CertificateError, match="not finite along most random paths"):
        momentum_lie_dimension(source, -point, Ranks(source.algebra))
