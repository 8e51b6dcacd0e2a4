"""All affine fields of small graphs against brute force, written-out fields, and each other."""

from __future__ import annotations

import numpy as np
import pytest
from certificate_cases import deep_linear, deep_relu, source_of
from symmetry_oracles import LinearFields
from test_symmetry_find import COMPLETE, INCOMPLETE, Case

import symtheory.graph.functions as st
from symtheory.errors import CertificateError
from symtheory.graph.computation_graph import ComputationGraph
from symtheory.symmetry.certificate.affine_fields import affine_fields
from symtheory.symmetry.certificate.affine_fields_float import affine_fields_float
from symtheory.symmetry.certificate.field_space import Ranks, values_at
from symtheory.symmetry.certificate.gradient_source import GradientSource
from symtheory.symmetry.certificate.truncated_algebra import TruncatedAlgebra


def fields_of(source: GradientSource) -> np.ndarray:
    return affine_fields(source) if source.algebra.modulus else affine_fields_float(source)[0]


def linear_dimension(source: GradientSource) -> int:
    """Of the affine fields with b = 0."""
    fields = fields_of(source)
    return len(fields) - Ranks(source.algebra)(fields[:, :, -1])


@pytest.mark.parametrize("case", COMPLETE + INCOMPLETE, ids=lambda case: case.name)
def test_linear_fields_against_brute_force(case: Case) -> None:
    """The dimensions in the table were compared with ``LinearFields`` one by one in the tests of the group."""
    assert linear_dimension(source_of(ComputationGraph(case.predictor))) == case.dimension


x = st.input("x", 2)
MORE = [
    (ComputationGraph(st.relu(st.param("W", 1, 2) @ x + st.param("b", 1)) + st.param("c"), name="no_symmetry"), True),
    (ComputationGraph(st.abs(st.param("W", 2, 2) @ x) * st.param("v", 2), name="abs_net"), True),
    (ComputationGraph(st.param("u", 2) ** 3 * st.param("v", 2) ** -2, name="monomial"), False),
    (ComputationGraph((st.param("u", 2) ** 2 + st.param("v", 2) ** 2) ** 2, name="circle"), True),
]


@pytest.mark.parametrize(("graph", "exact"), MORE, ids=[graph.name for graph, _ in MORE])
def test_linear_fields_of_further_graphs_against_brute_force(graph: ComputationGraph, exact: bool) -> None:
    assert linear_dimension(source_of(graph)) == LinearFields(graph, exact).dimension()


@pytest.mark.parametrize("graph", [deep_linear(3, 2, 3), deep_relu(3, 2, 2)], ids=lambda graph: graph.name)
def test_fields_are_annihilated_at_new_points(graph: ComputationGraph) -> None:
    source = source_of(graph, seed=1)
    fields = fields_of(source)
    other = source_of(graph, seed=2)
    theta = other.numerators(200, other.dimension)
    rows, values = other.rows(theta), other.values(theta)
    for row, value in zip(rows, values, strict=True):
        moved = values_at(fields, value[None], other.algebra)
        assert not np.any((moved * row % other.algebra.modulus).sum(axis=-1) % other.algebra.modulus)


def test_floating_point_finds_the_space_that_is_found_modulo_the_prime() -> None:
    graph = deep_linear(2, 2, 1, 2)  # GL(2), GL(1), and two fields skew on the edge before the width of one
    exact = source_of(graph)
    approximate = source_of(graph)
    approximate.algebra = TruncatedAlgebra(None)
    fields, found = affine_fields_float(approximate)
    assert len(fields) == len(affine_fields(exact)) == 7
    assert found.gap.ratio > 1e6


def test_larger_networks() -> None:
    assert len(fields_of(source_of(deep_relu(9, 7, 2)))) == 7
    assert len(fields_of(source_of(deep_linear(4, 3, 3, 4)))) == 18


def test_too_many_parameters_in_floating_point_are_refused_with_a_number_that_would_do() -> None:
    graph = ComputationGraph(st.tanh(st.param("W", 9, 5) @ st.input("s", 5)))
    with pytest.raises(CertificateError, match=r"45 parameters .* at most 40 parameters"):
        affine_fields_float(source_of(graph))
