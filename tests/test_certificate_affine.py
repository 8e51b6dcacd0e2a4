"""All affine fields of small graphs against brute force, the dense system, written-out fields, and each other."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import sympy as sp
from certificate_cases import deep_linear, deep_relu, dense_affine_fields, rounded_source, shift, source_of
from symmetry_oracles import AffineFields
from test_symmetry_find import COMPLETE, INCOMPLETE, Case

import symtheory.graph.functions as st
from symtheory.errors import CertificateError
from symtheory.graph.computation_graph import ComputationGraph
from symtheory.graph.node import Node
from symtheory.symmetry.certificate.affine_fields import affine_fields
from symtheory.symmetry.certificate.exact_arithmetic import ExactArithmetic
from symtheory.symmetry.certificate.field_space import values_at
from symtheory.symmetry.certificate.modular_matrix import rank
from symtheory.symmetry.certificate.numerical_rank import numerical_kernel, numerical_rank
from symtheory.symmetry.certificate.truncated_algebra import PRIME


@pytest.mark.parametrize("case", COMPLETE + INCOMPLETE, ids=lambda case: case.name)
def test_dimensions_against_brute_force(case: Case) -> None:
    """The dimensions in the table were compared with brute force one by one in the tests of the group."""
    assert len(affine_fields(source_of(ComputationGraph(case.predictor))).basis()) == case.dimension


x = st.input("x", 2)
MORE = [
    (ComputationGraph(st.relu(st.param("W", 1, 2) @ x + st.param("b", 1)) + st.param("c"), name="no_symmetry"), True),
    (ComputationGraph(st.abs(st.param("W", 2, 2) @ x) * st.param("v", 2), name="abs_net"), True),
    (ComputationGraph(st.param("u", 2) ** 3 * st.param("v", 2) ** -2, name="monomial"), False),
    (ComputationGraph((st.param("u", 2) ** 2 + st.param("v", 2) ** 2) ** 2, name="circle"), True),
    (ComputationGraph(st.param("u", 2) + st.param("v", 2) * st.param("w", 2), name="shift_and_scale"), True),
]


@pytest.mark.parametrize(("graph", "exact"), MORE, ids=[graph.name for graph, _ in MORE])
def test_dimensions_of_further_graphs_against_brute_force(graph: ComputationGraph, exact: bool) -> None:
    assert len(affine_fields(source_of(graph)).basis()) == AffineFields(graph, exact).dimension()


@pytest.mark.parametrize("graph", [deep_linear(3, 2, 3), deep_relu(3, 2, 2)], ids=lambda graph: graph.name)
def test_fields_are_annihilated_at_new_points(graph: ComputationGraph) -> None:
    fields = affine_fields(source_of(graph, seed=1)).everything()
    other = source_of(graph, seed=2)
    theta = other.numerators(200, other.dimension)
    rows, values = other.rows(theta), other.values(theta)
    for row, value in zip(rows, values, strict=True):
        moved = values_at(fields, value[None], other.algebra)
        assert not np.any((moved * row % PRIME).sum(axis=-1) % PRIME)


def attention(tokens: int, width: int, inner: int, out: int, heads: int = 1) -> ComputationGraph:
    """softmax(X Q Kᵀ Xᵀ) X V O, summed over heads: GL(inner) and GL(out) for each."""
    X = st.input("X", tokens, width)

    def head(index: int) -> Node:
        Q, K = st.param(f"Q{index}", width, inner), st.param(f"K{index}", width, inner)
        V, O = st.param(f"V{index}", width, out), st.param(f"O{index}", out, width)
        return st.softmax(X @ Q @ K.T @ X.T) @ X @ V @ O

    total = head(0)
    for index in range(1, heads):
        total = total + head(index)
    return ComputationGraph(total, name=f"attention_{tokens}_{width}_{inner}_{out}_{heads}")


def low_rank(outer: Callable[[Node], Node], n: int, h: int, m: int) -> ComputationGraph:
    return ComputationGraph(
        outer(st.param("G", n, h) @ st.param("H", m, h).T), name=f"low_rank_{outer.__name__}_{n}_{h}_{m}"
    )


def shallow(
    inner: Callable[[Node], Node], inputs: int, width: int, out: int, outer: Callable[[Node], Node] | None = None
) -> ComputationGraph:
    z = st.param("V", out, width) @ inner(st.param("W", width, inputs) @ st.input("x", inputs))
    names = [inner.__name__, *([outer.__name__] if outer else [])]
    return ComputationGraph(outer(z) if outer else z, name="_".join([*names, str(inputs), str(width), str(out)]))


def shallow_with_biases(inputs: int, width: int, out: int) -> ComputationGraph:
    z = st.layer_norm(st.param("W", width, inputs) @ st.input("x", inputs) + st.param("b", width))
    return ComputationGraph(st.param("V", out, width) @ z + st.param("c", out), name=f"biases_{inputs}_{width}_{out}")


def pair(outer: Callable[[Node, Node], Node], size: int, name: str) -> ComputationGraph:
    return ComputationGraph(outer(st.param("u", size), st.param("v", size)), name=name)


half = sp.Rational(1, 2)
# Graph, translations, other affine symmetries.
TRANSCENDENTAL = [
    (ComputationGraph(st.softmax(st.param("A", 3, 3) @ st.input("x", 3)), name="softmax_classifier"), 3, 0),
    (shallow(st.tanh, 3, 2, 2), 0, 0),
    (shallow(st.tanh, 3, 4, 3), 0, 0),
    (shallow(st.tanh, 3, 4, 3, st.softmax), 4, 0),
    (shallow(st.relu, 3, 4, 3, st.softmax), 4, 4),
    (shallow(st.rms_norm, 3, 2, 2), 0, 2),  # a rotation and a scaling
    (shallow(st.layer_norm, 3, 3, 2), 5, 2),
    (shallow_with_biases(3, 4, 3), 7, 4),
    (ComputationGraph(st.normalize(st.param("A", 4, 3)) @ st.input("x", 3), name="normalized_rows"), 0, 4),
    (pair(lambda u, v: st.exp(u) * v, 4, "exponential"), 0, 4),  # δu = 1, δv = −v
    (pair(lambda u, v: st.exp(u) * st.exp(v), 4, "two_exponentials"), 4, 0),
    (pair(lambda u, v: st.tanh(u + v), 5, "sum"), 5, 0),
    (pair(lambda u, v: (u * v) ** half, 5, "root"), 0, 5),
    (low_rank(st.tanh, 3, 4, 3), 0, 16),
    (low_rank(st.softmax, 3, 4, 3), 4, 16),
    (attention(3, 2, 2, 2), 0, 8),
    (attention(3, 3, 2, 2), 0, 8),
]


@pytest.mark.parametrize(("graph", "shifts", "others"), TRANSCENDENTAL, ids=lambda value: getattr(value, "name", ""))
def test_floating_point_against_the_dense_system(graph: ComputationGraph, shifts: int, others: int) -> None:
    """The same space as one system with D (D + 1) unknowns has, to eight digits, and both gaps are wide."""
    family = affine_fields(source_of(graph))
    assert (len(family.translations), len(family.transverse)) == (shifts, others)
    everything = family.everything().reshape(-1, family.basis()[0].size) if shifts + others else np.zeros((0, 1))
    dense, gap = dense_affine_fields(source_of(graph, seed=1))
    assert len(everything) == len(dense) == (source_of(graph).dimension + 1) * shifts + others
    assert family.gap is not None and min(family.gap.ratio, gap.ratio) > 1e8
    if len(dense):
        assert np.allclose(everything @ dense.T @ dense, everything, atol=1e-8)


LARGE = [
    (shallow(st.tanh, 5, 8, 5), 0, 0),
    (shallow(st.rms_norm, 4, 8, 4), 0, 29),
    (shallow(st.relu, 4, 8, 4, st.softmax), 8, 8),
    (shallow_with_biases(4, 7, 4), 9, 16),
    (low_rank(st.softmax, 4, 8, 4), 8, 64),
    (attention(4, 4, 2, 4, heads=2), 0, 40),
    (pair(lambda u, v: st.exp(u) * v, 40, "exponential"), 0, 40),
]


@pytest.mark.parametrize(("graph", "shifts", "others"), LARGE, ids=lambda value: getattr(value, "name", ""))
def test_floating_point_at_64_to_128_parameters(graph: ComputationGraph, shifts: int, others: int) -> None:
    source = source_of(graph)
    assert 64 <= source.dimension <= 128
    family = affine_fields(source)
    assert (len(family.translations), len(family.transverse)) == (shifts, others)
    assert family.gap is not None and family.gap.ratio > 1e8


@pytest.mark.parametrize("graph", [deep_linear(2, 2, 1, 2), deep_linear(3, 2, 3), shift(2)], ids=lambda g: g.name)
def test_floating_point_finds_the_space_that_is_found_modulo_the_prime(graph: ComputationGraph) -> None:
    """deep_linear 2-2-1-2: GL(2), GL(1), and two fields skew on the edge before the width of one."""
    exact, rounded = affine_fields(source_of(graph)), affine_fields(rounded_source(graph))
    assert exact.gap is None
    assert rounded.gap is not None and rounded.gap.ratio > 1e8
    assert rounded.translations.shape == exact.translations.shape
    # Row-reduced bases of the same rational space: residues of the same small numbers.
    as_fractions = np.vectorize(lambda value: int(sp.Rational(str(round(value, 8))).limit_denominator(60) * 60) % PRIME)
    assert np.array_equal(as_fractions(rounded.basis()), exact.basis() * 60 % PRIME)


def test_a_gap_that_is_not_clear_is_refused() -> None:
    values = np.geomspace(1, 1e-14, 29)  # singular values without any gap
    with pytest.raises(CertificateError, match="cannot be told from rounding"):
        numerical_kernel(np.diag(values))
    with pytest.raises(CertificateError, match="cannot be told from rounding"):
        numerical_rank(np.diag(values))


def test_a_matrix_that_is_not_finite_is_refused() -> None:
    with pytest.raises(CertificateError, match="not finite at some random points"):
        numerical_rank(np.array([[1.0, np.nan]]))


def test_a_matrix_of_rounding_errors_has_rank_zero() -> None:
    noise = 1e-15 * np.random.default_rng(0).standard_normal((30, 4))
    basis, gap = numerical_kernel(noise)
    assert len(basis) == 4
    assert gap.ratio > 1e12


def test_singular_values_without_the_fast_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*args: object, **options: object) -> None:
        raise np.linalg.LinAlgError("SVD did not converge")

    matrix = np.random.default_rng(0).standard_normal((6, 4)) @ np.diag([1, 1, 1, 0])
    expected = numerical_kernel(matrix)[0]
    monkeypatch.setattr(np.linalg, "svd", fails)
    assert np.allclose(np.abs(numerical_kernel(matrix)[0]), np.abs(expected))
    assert numerical_rank(matrix).rank == 3


def test_larger_networks() -> None:
    assert len(affine_fields(source_of(deep_relu(9, 7, 2))).basis()) == 7
    assert len(affine_fields(source_of(deep_linear(4, 3, 3, 4))).basis()) == 18


def test_parallel_directions_are_drawn_again() -> None:
    """Of random pairs of integer directions in the plane a few in a hundred are parallel."""
    arithmetic = ExactArithmetic(source_of(shift(1)))
    assert all(rank(arithmetic.directions() % PRIME) == 2 for _ in range(500))


def test_a_sum_has_one_translation_and_its_products() -> None:
    found = affine_fields(source_of(shift(1)))
    assert found.translations.tolist() == [[1, PRIME - 1]]
    assert (len(found.transverse), found.products, len(found.everything())) == (0, 2, 3)


def test_a_predictor_that_no_parameter_moves_has_all_fields() -> None:
    graph = ComputationGraph(st.param("u", 2) * 0)
    found = affine_fields(source_of(graph))
    assert (len(found.translations), len(found.transverse), len(found.everything())) == (2, 0, 6)
