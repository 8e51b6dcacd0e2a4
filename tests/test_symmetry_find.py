"""Symmetry groups of declared graphs against the laws they must obey and against brute force."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import sympy as sp
from symmetry_checks import assert_symmetry
from symmetry_oracles import AffineFields

import symtheory.graph.functions as st
from symtheory.errors import CalculusError, DeclarationError
from symtheory.graph.computation_graph import ComputationGraph
from symtheory.graph.node import Node
from symtheory.graph.shapes import dims
from symtheory.symmetry.find import find_symmetries


def p(name: str, *sizes: object) -> Node:
    return st.param(name, *sizes)


x, X, y = st.input("x", 2), st.input("X", 2, 2), st.input("y", 1)
s = st.input("s")
u, v, z, a, b, c = p("u", 2), p("v", 2), p("z", 2), p("a"), p("b", 2), p("c", 2)
W, V, U, M, N = (p(name, 2, 2) for name in "WVUMN")


@dataclass(frozen=True)
class Case:
    """A small graph, the kinds of its factors, the dimension of all affine fields; ``exact``: rational arithmetic."""

    name: str
    predictor: Node
    kinds: tuple[str, ...]
    dimension: int
    exact: bool = True


COMPLETE = [
    Case("hadamard", u * v, ("rescaling",), 2),
    Case("squared_difference", u * u - v * v, ("isometry",), 2),
    Case("squared_difference_by_powers", u**2 - v**2, ("isometry",), 2),
    Case("depth_product", u * v * z, ("rescaling",), 4),
    Case("tied_product", u * u * v, ("rescaling",), 2),
    Case("quotient", u / v, ("rescaling",), 2, exact=False),
    Case("with_bias_behind", u * v - z, ("rescaling", "translation", "translation"), 6),
    Case("relu_product", st.relu(u) * v, ("rescaling",), 2),
    Case("abs_product", st.abs(u) * v, ("rescaling",), 2),
    Case("scalar_times_vector", a * u, ("scaling",), 1),
    Case("low_rank", p("G", 3, 2) @ p("H", 2, 2).T, ("GL",), 4),
    Case("gram", U @ U.T, ("O",), 1),
    Case("chain", U @ M @ V.T, ("GL", "GL"), 8),
    Case("tied_chain", p("G", 1, 2) @ W @ W @ p("H", 2, 2), ("GL", "scaling"), 5),
    Case("relu_net_with_bias", p("V", 1, 2) @ st.relu(W @ x + b), ("rescaling",), 2),
    Case("leaky_relu_net", V @ st.leaky_relu(W @ x, 0.25) + c, ("rescaling",), 2),
    Case("square_net", p("V", 1, 2) @ (W @ x) ** 2, ("rescaling",), 2),
    Case("residual_net", x + V @ st.relu(W @ x), ("rescaling",), 2),
    Case("bilinear_gate", (W @ x) * (V @ x), ("rescaling",), 2),
    Case("matrix_hadamard", M * N, ("rescaling",), 4),
    Case("mask_then_matmul", M @ (u * v), ("rescaling", "rescaling"), 4),
    Case("normalize_rows", st.normalize(W) @ x, ("rescaling",), 2, exact=False),
    Case("normalized_gram", st.normalize(U) @ st.normalize(U).T, ("rescaling", "O"), 3, exact=False),
    Case("rms_norm_net", V @ st.rms_norm(W @ x), ("O", "scaling"), 2, exact=False),
    Case("rms_norm_with_gain", b * st.rms_norm(W @ x), ("scaling",), 1, exact=False),
    Case("rms_norm_with_eps", V @ st.rms_norm(W @ x, eps=0.5), ("O",), 1, exact=False),
    Case("cumsum", st.cumsum(u * v), ("rescaling",), 2),
    Case("tanh_net", V @ st.tanh(W @ x), (), 0, exact=False),
    Case("transposed_hadamard", M.T * N.T, ("rescaling",), 4),
    Case("sum_times_factor", (u + v) * z, ("rescaling", "translation"), 4),
    Case("softmax_net", p("V", 1, 2) @ st.softmax(W @ x), ("translation",), 2, exact=False),
    Case("layer_norm", st.layer_norm(p("W", 3, 1) @ st.input("s", 1)), ("scaling", "translation"), 2, exact=False),
    Case("stacked_pairs", p("S", 2, 2, 2) @ p("T", 2, 2, 2), ("GL",), 8),
    Case("layers_with_biases", V @ (W @ x + b) + c, ("GL", "translation"), 6),
    Case("two_biases", W @ x + b + c, ("translation",), 2),
    Case("key_bias", st.softmax((X @ W) @ (X @ V + b).T), ("GL", "translation"), 6, exact=False),
    Case("value_bias", st.softmax(X @ X.T) @ (X @ W + b) @ V + c, ("GL", "translation"), 6, exact=False),
    Case("split_axis", (p("Q", 4, 1) @ y).reshape(2, 2) @ (p("K", 4, 1) @ y).reshape(2, 2).T, ("GL",), 4),
    Case("shared_key", (X @ p("Q", 2, 2, 2)) @ (X @ W).T, ("GL",), 4),
    Case(
        "row_shift_before_norm", st.layer_norm(p("R", 3) * s + a), ("scaling", "translation", "translation"), 3, False
    ),
]

INCOMPLETE = [
    Case("shifted_product", (u + 1) * v, (), 2),
    Case("product_and_factor", u * v + u, (), 2),
    Case("square_and_bias", u**2 + v, (), 2),
    Case("cumsum_between", V @ st.cumsum(W @ x), ("scaling",), 4),
    Case("row_of_biased", u @ (x + v), (), 1),
    Case("geometric_factors", st.windows(p("B", 3), 2) * p("A", 2) * p("D", 2, 1), ("scaling", "scaling"), 3),
    Case("vector_contraction", u @ v, ("GL",), 6),
    Case("matrix_times_vector", W @ u, ("GL",), 6),
    Case("full_contraction", (u * v).sum(), ("rescaling",), 6),
    Case("exponential_product", st.exp(u) * v, (), 2, exact=False),
    Case("sum_of_products", p("G", 2, 1) @ p("H", 2, 1).T + U @ p("K", 2, 2).T, ("GL", "scaling"), 9),
    Case("shared_sum", (U + V) @ V.T, ("O",), 4),
    Case("chain_from_one_row", p("G", 1, 2) @ M @ V.T, ("GL", "GL"), 10),
    Case("quadratic_form", x @ (M @ N.T) @ x, ("GL",), 6),
    Case("stacked_matmul", p("S", 2, 1, 2) @ p("T", 2, 2, 1), ("GL",), 12),
]


@pytest.mark.parametrize("case", COMPLETE + INCOMPLETE, ids=lambda case: case.name)
def test_every_factor_is_a_symmetry(case: Case) -> None:
    graph = ComputationGraph(case.predictor)
    group = find_symmetries(graph)
    assert tuple(factor.kind for factor in group) == case.kinds
    for seed, factor in enumerate(group):
        if all(len(shape) <= 2 for shape in factor.shapes.values()):
            assert_symmetry(graph, factor, seed, case.exact)


@pytest.mark.parametrize("case", COMPLETE, ids=lambda case: case.name)
def test_propagated_dimension_equals_brute_force(case: Case) -> None:
    graph = ComputationGraph(case.predictor)
    assert AffineFields(graph, case.exact).dimension() == case.dimension
    assert find_symmetries(graph).dimension == case.dimension


@pytest.mark.parametrize("case", INCOMPLETE, ids=lambda case: case.name)
def test_a_group_that_is_smaller_than_brute_force_says_so(case: Case) -> None:
    graph = ComputationGraph(case.predictor)
    group = find_symmetries(graph)
    assert AffineFields(graph, case.exact).dimension() == case.dimension
    assert group.dimension < case.dimension
    assert group.lower_bound
    assert str(group).splitlines()[-1].startswith("lower bound: ")


def test_groups_the_catalog_relies_on_are_no_lower_bounds() -> None:
    names = {"hadamard", "squared_difference", "depth_product", "low_rank", "relu_net_with_bias", "rms_norm_net"}
    for case in COMPLETE:
        if case.name in names:
            assert find_symmetries(ComputationGraph(case.predictor)).lower_bound == ()


n, m, h, k = dims("n m h k")
SYMBOLIC: list[tuple[str, Callable[[], Node], object]] = [
    ("hadamard", lambda: p("u", n) * p("v", n), n),
    ("low_rank", lambda: p("G", n, h) @ p("H", m, h).T, h**2),
    ("gram", lambda: p("U", n, h) @ p("U", n, h).T, h * (h - 1) / 2),
    ("tied", lambda: p("V", k, h) @ p("W", h, h) @ p("W", h, h) @ p("U", h, n), h**2 + 1),
    ("mask", lambda: p("A", k, n) @ (p("u", n) * p("v", n)), 2 * n),
    ("transposed", lambda: p("U", n, m).T * p("V", n, m).T, n * m),
    ("deep", lambda: p("V", k, h) @ st.relu(p("W", h, m) @ st.relu(p("U", m, n) @ st.input("x", n))), h + m),
    ("rows", lambda: st.normalize(p("W", h, n)) @ st.input("x", n), h),
]


@pytest.mark.parametrize(("build", "dimension"), [row[1:] for row in SYMBOLIC], ids=[row[0] for row in SYMBOLIC])
def test_dimension_at_symbolic_sizes(build: Callable[[], Node], dimension: sp.Expr) -> None:
    assert sp.expand(find_symmetries(ComputationGraph(build())).dimension - dimension) == 0


def test_charges() -> None:
    def charges(node: Node) -> dict[str, object]:
        return find_symmetries(ComputationGraph(node)).charges

    s, t = sp.Symbol("u", real=True), sp.Symbol("v", real=True)
    assert charges(p("u", n) * p("v", n)) == {"rescaling": s**2 - t**2}
    assert charges(p("u", n) ** 2 - p("v", n) ** 2) == {"isometry": 2 * s * t}
    G, H = sp.MatrixSymbol("G", n, h), sp.MatrixSymbol("H", m, h)
    (charge,) = charges(p("G", n, h) @ p("H", m, h).T).values()
    assert (charge - (G.T * G - H.T * H)).doit() == sp.ZeroMatrix(h, h)
    w = sp.MatrixSymbol("w", n, 1)
    assert charges(st.normalize(p("w", n)) @ st.input("x", n)) == {"scaling": sp.Trace(w.T * w)}
    assert charges(p("U", n, h) @ p("U", n, h).T) == {}


def test_charge_is_conserved_where_the_generator_is_symmetric() -> None:
    """d/dt θᵀAθ = −2 (Aθ)·∇L = −2 ∂L/∂φ · Dφ[Aθ] = 0, so the charge's gradient is twice the generator."""
    for node in (p("u", n) * p("v", n), p("u", n) ** 2 - p("v", n) ** 2, p("u", n) * p("v", n) * p("z", n)):
        for factor in find_symmetries(ComputationGraph(node)):
            for charge, generator in zip(factor.charges.values(), factor.generators, strict=True):
                for name in factor.shapes:
                    symbol = factor.symbol(name)
                    assert sp.expand(sp.diff(charge, symbol) - 2 * generator.get(name, 0)) == 0


def test_low_rank_action_has_the_published_convention() -> None:
    """(G, H) ↦ (G A⁻¹, H Aᵀ)."""
    (factor,) = find_symmetries(ComputationGraph(p("G", n, h) @ p("H", m, h).T))
    A, G, H = sp.Matrix([[1, 2], [0, 1]]), sp.Matrix([[1, 2]]), sp.Matrix([[3, 5]])
    assert factor.act(A, {"G": G, "H": H}) == {"G": G * A.inv(), "H": H * A.T}


def test_group_access_by_name() -> None:
    group = find_symmetries(ComputationGraph(p("V", k, h) @ st.rms_norm(p("W", h, n) @ st.input("x", n))))
    assert group["O"].kind == "O"
    assert len(group) == 2
    with pytest.raises(DeclarationError, match="no symmetry factor 'GL': the factors are O, scaling"):
        group["GL"]
    assert str(find_symmetries(ComputationGraph(st.tanh(u)))) == "no continuous affine symmetry"


def test_one_group_for_each_matrix_of_a_stack() -> None:
    """S (k, n, h) and T (k, h, m): generators are those of one matrix, and arrays are moved all at once."""
    (factor,) = find_symmetries(ComputationGraph(p("S", k, n, h) @ p("T", k, h, m)))
    assert (factor.kind, factor.dimension, factor.element_shape) == ("GL", h**2 * k, (k, h, h))
    S, T = sp.MatrixSymbol("S", n, h), sp.MatrixSymbol("T", h, m)
    (field,) = factor.generators
    assert field == {"S": -S * factor.element, "T": factor.element * T}
    assert factor.charges == {"GL": S.T * S - T * T.T}
    with pytest.raises(CalculusError, match="'S' is no matrix under 'GL': act on arrays"):
        factor.act(sp.eye(2), {"S": S, "T": T})


def test_a_stack_beside_a_single_matrix_shares_one_group() -> None:
    (factor,) = find_symmetries(ComputationGraph(p("S", 2, n, h) @ p("T", h, m)))
    assert (factor.kind, factor.dimension) == ("GL", h**2)
    with pytest.raises(CalculusError, match="'S' is no matrix"):
        factor.act(sp.eye(2), {})
