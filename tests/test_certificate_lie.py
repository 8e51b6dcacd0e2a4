"""Lie algebras of gradients: values from the literature, and brackets against SymPy."""

from __future__ import annotations

import pytest
import sympy as sp
from certificate_cases import (
    bracket,
    deep_linear,
    deep_relu,
    gradient_field,
    parameter_symbols,
    rounded_source,
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
        found = nested_bracket(source.algebra, source.values(point), [field.gradients for field in fields])
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


@pytest.mark.parametrize(
    ("graph", "laws"),
    [
        (ComputationGraph(st.exp(st.param("u", 2)) * st.param("v", 2), name="exp"), 2),
        (ComputationGraph((st.param("u", 3) * st.param("v", 3)) ** sp.Rational(1, 2), name="root"), 3),
        (ComputationGraph(st.tanh(st.param("u", 3) @ st.param("v", 3)), name="one_output"), 5),
        (ComputationGraph(st.tanh(st.param("G", 2, 2) @ st.param("H", 2, 2)), name="low_rank"), 3),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_brackets_that_vanish_up_to_rounding_add_nothing(graph: ComputationGraph, laws: int) -> None:
    """Gradients of different coordinates commute, and one gradient with itself; a monotone function changes no law."""
    assert not source_of(graph).circuit.is_exact
    assert source_of(graph).dimension - dimension(graph) == laws


@pytest.mark.parametrize("graph", [*SMALL, deep_relu(3, 2, 2)], ids=lambda graph: graph.name)
def test_floating_point_finds_the_dimension_that_is_found_modulo_the_prime(graph: ComputationGraph) -> None:
    source = rounded_source(graph)
    ranks = Ranks(source.algebra)
    point, _ = source.regular_point(ranks)
    assert lie_dimension(source, point, ranks) == dimension(graph)
    assert min(gap.ratio for gap in ranks.gaps) > 1e6


def test_seed_does_not_matter() -> None:
    assert {dimension(deep_relu(3, 2, 2), seed) for seed in range(5)} == {8}
    assert {dimension(deep_relu(8, 5, 8, 5, 5), seed) for seed in (3, 5)} == {127}
