"""Lie algebras of gradients: values from the literature, and brackets against SymPy."""

from __future__ import annotations

from itertools import combinations_with_replacement, pairwise

import numpy as np
import pytest
import sympy as sp
from certificate_cases import (
    bracket,
    deep_linear,
    deep_relu,
    gradient_field,
    parameter_symbols,
    source_of,
    symbolic_lie_dimension,
)

import symtheory.graph.functions as st
from symtheory.graph.computation_graph import ComputationGraph
from symtheory.symmetry.certificate.field_space import Ranks
from symtheory.symmetry.certificate.lie_dimension import lie_dimension, nested_bracket
from symtheory.symmetry.certificate.truncated_algebra import PRIME


def dimension(graph: ComputationGraph, seed: int = 0) -> int:
    source = source_of(graph, seed)
    ranks = Ranks(source.algebra)
    point, _ = source.regular_point(ranks)
    return lie_dimension(source, point, ranks)


@pytest.mark.parametrize(
    ("graph", "parameters", "laws"),
    [
        (deep_linear(2, 2, 2), 8, 3),
        (deep_linear(5, 3, 2), 21, 6),
        (deep_linear(3, 4, 2, 4), 28, 13),
        (deep_linear(5, 5, 4, 4, 5), 81, 35),
        (deep_relu(9, 7, 2), 77, 7),
        (deep_relu(8, 5, 8, 5, 5), 145, 18),
    ],
    ids=lambda value: value.name if isinstance(value, ComputationGraph) else str(value),
)
def test_published_numbers_of_conservation_laws(graph: ComputationGraph, parameters: int, laws: int) -> None:
    """Marcotte, Gribonval, Peyré (2023), arXiv 2307.00144."""
    source = source_of(graph)
    assert source.dimension == parameters
    assert parameters - dimension(graph) == laws


@pytest.mark.parametrize(
    ("widths", "laws", "known"), [((2, 2, 2), 3, 3), ((1, 2, 2, 1), 7, 6), ((1, 2, 2, 1, 2), 8, 7)]
)
def test_more_laws_than_balancedness_gives(widths: tuple[int, ...], laws: int, known: int) -> None:
    """The gradients of the entries of W_{i−1}ᵀ W_{i−1} − W_i W_iᵀ span fewer directions than there are laws."""
    graph = deep_linear(*widths)
    rng = np.random.default_rng(0)
    weights = [rng.standard_normal(sizes) for sizes in pairwise(widths)]
    gradients = []
    for edge in range(1, len(widths) - 1):
        for i, j in combinations_with_replacement(range(widths[edge]), 2):
            pair = np.zeros((widths[edge], widths[edge]))
            pair[i, j] = pair[j, i] = 1
            moved = [np.zeros_like(weight) for weight in weights]
            moved[edge - 1], moved[edge] = weights[edge - 1] @ pair, -pair @ weights[edge]
            gradients.append(np.concatenate([part.ravel() for part in moved]))
    assert np.linalg.matrix_rank(np.array(gradients)) == known
    assert source_of(graph).dimension - dimension(graph) == laws
    assert symbolic_lie_dimension(graph) == dimension(graph)


def test_linear_network_given_by_its_data_has_the_laws_of_its_product() -> None:
    x = st.input("x", 2)
    graph = ComputationGraph(st.param("V", 5, 3) @ (st.param("W", 3, 2) @ x))
    assert 21 - dimension(graph) == 6


def test_brackets_against_sympy() -> None:
    """The fields are polynomial: both sides are residues of the same rational numbers."""
    a, b = st.param("a", 2), st.param("b", 2)
    graph = ComputationGraph(st.cumsum(a**2 * st.cumsum(a * b)))
    source, theta = source_of(graph, seed=3), parameter_symbols(graph)
    point = source.numerators(1, len(theta))
    at = {symbol: sp.Integer(int(value)) for symbol, value in zip(theta, source.values(point)[0], strict=True)}
    for depth in (2, 3, 4):
        fields = [source.functionals(point, 2) for _ in range(depth)]
        found = nested_bracket(source, point, fields)
        for member in range(2):
            written = [gradient_field(graph, field.weights[member, :, 0], theta) for field in fields]
            expected = written[-1]
            for field in reversed(written[:-1]):
                expected = bracket(field, expected, theta)
            assert any(found[member])
            assert [int(entry) % PRIME for entry in expected.subs(at)] == found[member].tolist()


SMALL = [
    ComputationGraph(st.param("u", 2) * st.param("v", 2), name="hadamard"),
    ComputationGraph(st.param("u") * st.param("v") * st.param("w"), name="triple"),
    ComputationGraph(st.param("u", 2) ** 2 @ st.param("v", 2), name="one_output"),
    deep_linear(2, 1, 2),
    deep_linear(1, 3, 1),
    deep_linear(2, 2, 2),
    deep_linear(1, 2, 2, 1),
]


@pytest.mark.parametrize("graph", SMALL, ids=lambda graph: graph.name)
def test_dimension_against_written_out_brackets(graph: ComputationGraph) -> None:
    assert dimension(graph) == symbolic_lie_dimension(graph)


def test_dimension_in_floating_point() -> None:
    W, V, x = st.param("W", 2, 2), st.param("V", 1, 2), st.input("x", 2)
    assert dimension(ComputationGraph(V @ st.tanh(W @ x))) == 6
    # A normalized row keeps its norm under gradient flow: one law for each.
    assert dimension(ComputationGraph(st.normalize(W) @ x)) == 2


def test_seed_does_not_matter() -> None:
    assert {dimension(deep_relu(3, 2, 2), seed) for seed in range(5)} == {8}
    assert {dimension(deep_relu(8, 5, 8, 5, 5), seed) for seed in (3, 5)} == {127}
