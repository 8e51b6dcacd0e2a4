"""Bad declarations are refused with one typed line that names the nodes and sizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import networkx as nx
import numpy as np
import pytest
import sympy as sp

import symtheory.graph.functions as st
from symtheory.errors import CalculusError, DeclarationError, ShapeError, SymtheoryError
from symtheory.graph.computation_graph import ComputationGraph
from symtheory.graph.node import Node
from symtheory.graph.operations.leaf import Parameter
from symtheory.graph.operations.relu import ReLU
from symtheory.graph.shapes import dims

n, m, h = dims("n m h")
u, v, a = st.param("u", n), st.param("v", n), st.param("a")
w3, w4 = st.param("w3", 3), st.param("w4", 4)
G, H, T = st.param("G", n, h), st.param("H", m, h), st.param("T", 2, n, h)

BAD: list[tuple[Callable[[], Any], type[SymtheoryError], str]] = [
    # shapes
    (lambda: u + st.param("x", m), ShapeError, "add(u (n,), x (m,)): sizes do not agree: (n,) against (m,)"),
    (lambda: w3 * w4, ShapeError, "multiply(w3 (3,), w4 (4,)): sizes do not agree: (3,) against (4,)"),
    (lambda: G + H, ShapeError, "add(G (n, h), H (m, h)): sizes do not agree: (n, h) against (m, h)"),
    (lambda: w3 - w4, ShapeError, "(w4) (4,)): sizes do not agree"),
    (lambda: G @ H, ShapeError, "matmul(G (n, h), H (m, h)): inner sizes h and m do not agree"),
    (lambda: w3 @ w4, ShapeError, "matmul(w3 (3,), w4 (4,)): inner sizes 3 and 4 do not agree"),
    (lambda: a @ u, ShapeError, "matmul(a (), u (n,)): a scalar cannot be contracted: use * instead of @"),
    (lambda: u @ 2, ShapeError, "a scalar cannot be contracted"),
    (lambda: T @ st.param("S", 3, h, m), ShapeError, "sizes do not agree: (2,) against (3,)"),
    (lambda: T @ st.param("S", 1, 2, h, m), ShapeError, "stacked matrices must have equally many leading axes"),
    (lambda: u.T, ShapeError, "u (n,) has no transpose: .T needs at least two axes"),
    (lambda: a.T, ShapeError, "a () has no transpose"),
    (lambda: G.transpose(0, 0), ShapeError, "transpose(G (n, h)): axes (0, 0) are no order of the 2 axes"),
    (lambda: G.transpose(1), ShapeError, "axes (1,) are no order of the 2 axes of (n, h)"),
    (lambda: G.transpose(0, 2), ShapeError, "axes (0, 2) are no order"),
    (lambda: G.sum(2), ShapeError, "sum(G (n, h)): cannot sum over axes (2)"),
    (lambda: G.sum((0, -2)), ShapeError, "sum(G (n, h)): cannot sum over axes (0, 0)"),
    (lambda: G.sum("a"), ShapeError, "G (n, h): sum takes axes as ints, not 'a'"),
    (lambda: G.sum(1.5), ShapeError, "sum takes axes as ints, not 1.5"),
    (lambda: G.reshape(n, m), ShapeError, "reshape(G (n, h)): (n, h) has h*n entries and (n, m) has m*n"),
    (lambda: w4.reshape(3), ShapeError, "reshape(w4 (4,)): (4,) has 4 entries and (3,) has 3"),
    (lambda: w4.reshape(-1), ShapeError, "size -1 is not a positive integer"),
    (lambda: st.softmax(a), ShapeError, "softmax(a ()): softmax acts along the last axis and a scalar has none"),
    (lambda: st.normalize(a), ShapeError, "normalize acts along the last axis and a scalar has none"),
    (lambda: st.rms_norm(a), ShapeError, "rms_norm acts along the last axis and a scalar has none"),
    (lambda: st.layer_norm(a), ShapeError, "layer_norm acts along the last axis and a scalar has none"),
    (lambda: st.cumsum(a), ShapeError, "cumsum acts along the last axis and a scalar has none"),
    # sizes
    (lambda: st.param("W", 0), ShapeError, "size 0 is not a positive integer"),
    (lambda: st.param("W", -2), ShapeError, "size -2 is not a positive integer"),
    (lambda: st.param("W", 2.5), ShapeError, "size 2.5 is not a positive integer"),
    (lambda: st.param("W", True), ShapeError, "size True is not a positive integer"),
    (lambda: st.param("W", "n"), ShapeError, "size 'n' is not a positive integer"),
    (lambda: st.param("W", None), ShapeError, "size None is not a positive integer"),
    (lambda: st.param("W", sp.Symbol("q")), ShapeError, "symbols made by st.dims"),
    (lambda: st.param("W", sp.Rational(1, 2)), ShapeError, "size 1/2 is not a positive integer"),
    # names
    (lambda: st.param("2x", n), DeclarationError, "parameter name '2x' must be a plain Python identifier"),
    (lambda: st.param("lambda", n), DeclarationError, "parameter name 'lambda'"),
    (lambda: st.input("", n), DeclarationError, "input name ''"),
    (lambda: st.constant("_c", n), DeclarationError, "constant name '_c'"),
    (lambda: st.param(n, n), DeclarationError, "parameter name n must be"),
    # arithmetic
    (lambda: u + np.ones(3), DeclarationError, "ndarray cannot enter a graph"),
    (lambda: np.ones(3) * u, DeclarationError, "ndarray cannot enter a graph"),
    (lambda: np.ones((3, 3)) @ u, DeclarationError, "ndarray cannot enter a graph"),
    (lambda: u @ np.ones(3), DeclarationError, "ndarray cannot enter a graph"),
    (lambda: np.bool_(True) * u, DeclarationError, "cannot enter a graph"),
    (lambda: u + "v", DeclarationError, "'v' cannot enter a graph"),
    (lambda: "v" @ u, DeclarationError, "'v' cannot enter a graph"),
    (lambda: u * True, DeclarationError, "True cannot enter a graph"),
    (lambda: False - u, DeclarationError, "False cannot enter a graph"),
    (lambda: u * None, DeclarationError, "NoneType cannot enter a graph"),
    (lambda: u * 1j, DeclarationError, "complex cannot enter a graph"),
    (lambda: u * sp.I, DeclarationError, "I cannot enter a graph"),
    (lambda: u * float("nan"), DeclarationError, "nan cannot enter a graph: use finite real numbers"),
    (lambda: u + float("inf"), DeclarationError, "inf cannot enter a graph: use finite real numbers"),
    (lambda: u * sp.oo, DeclarationError, "oo cannot enter a graph"),
    (lambda: u * sp.Symbol("c"), DeclarationError, "c cannot enter a graph"),
    (lambda: u * sp.log(n), DeclarationError, "log(n) cannot enter a graph"),
    (lambda: u / 0, DeclarationError, "u is divided by zero"),
    (lambda: u / 0.0, DeclarationError, "u is divided by zero"),
    (lambda: u / "v", DeclarationError, "'v' cannot enter a graph"),
    (lambda: u ** sp.sqrt(2), DeclarationError, "u ** sqrt(2): the exponent must be a rational number"),
    (lambda: u**n, DeclarationError, "u ** n: the exponent must be a rational number"),
    (lambda: u**v, DeclarationError, "u ** Node(v, shape=(n,)): the exponent must be a rational number"),
    (lambda: u ** float("nan"), DeclarationError, "u ** nan: the exponent must be a rational number"),
    (lambda: u**True, DeclarationError, "u ** True: the exponent must be a rational number"),
    (lambda: 2**u, DeclarationError, "2 ** u: a node cannot be an exponent"),
    # functions
    (lambda: st.relu("u"), DeclarationError, "relu takes a node of the graph, not str"),
    (lambda: st.exp(2), DeclarationError, "exp takes a node of the graph, not int"),
    (lambda: st.softmax(np.ones(3)), DeclarationError, "softmax takes a node of the graph, not ndarray"),
    (lambda: st.leaky_relu(u, 1), DeclarationError, "leaky_relu slope 1 must be a number between 0 and 1"),
    (lambda: st.leaky_relu(u, "x"), DeclarationError, "leaky_relu slope 'x'"),
    (lambda: st.leaky_relu(u, float("nan")), DeclarationError, "leaky_relu slope nan"),
    (lambda: st.rms_norm(u, eps=-1), DeclarationError, "eps = -1 must be a number ≥ 0"),
    (lambda: st.layer_norm(u, eps=float("nan")), DeclarationError, "eps = nan must be a number ≥ 0"),
    (lambda: st.rms_norm(u, eps=float("inf")), DeclarationError, "eps = inf must be a number ≥ 0"),
    # parametrizations
    (lambda: ComputationGraph("u"), DeclarationError, "made from a node, not from str"),
    (lambda: ComputationGraph(st.input("x", n) * 2), DeclarationError, "has no parameter"),
    (lambda: ComputationGraph(u, parameters=[u, v]), DeclarationError, "parameter 'v' is used nowhere"),
    (lambda: ComputationGraph(u, parameters=[u, "v"]), DeclarationError, "'v' is listed among the parameters"),
    (lambda: ComputationGraph(u, parameters=[st.param("u", m)]), DeclarationError, "parameter 'u' is used nowhere"),
    (
        lambda: ComputationGraph(u.sum() + st.param("u", m).sum()),
        DeclarationError,
        "name 'u' is used twice: as parameter (n,) and as parameter (m,)",
    ),
    (
        lambda: ComputationGraph(u + st.input("u", n)),
        DeclarationError,
        "name 'u' is used twice: as parameter (n,) and as input (n,)",
    ),
    (lambda: ComputationGraph(st.param("n", n)), DeclarationError, "'n' is a size and a leaf"),
    (lambda: ComputationGraph(u * v).bind(q=3), DeclarationError, "has no size 'q': its free sizes are n"),
    (lambda: ComputationGraph(w3 * 2).bind(n=3), DeclarationError, "its free sizes are none"),
    (lambda: ComputationGraph(u * v).bind(n=0), ShapeError, "bind(n=0): size 0 is not a positive integer"),
    (lambda: ComputationGraph(u * v).bind(n=-1), ShapeError, "bind(n=-1): size -1"),
    (lambda: ComputationGraph(u * v).bind(n=2.0), ShapeError, "bind(n=2.0): size 2.0"),
    (lambda: ComputationGraph(st.param("W", n - m)).bind(n=2, m=2), ShapeError, "size 0 is not a positive integer"),
    (lambda: ComputationGraph(u * v).components(), CalculusError, "u (n,) has unbound sizes: call bind(...) first"),
    (
        lambda: ComputationGraph(G @ H.T).require_bound(),
        DeclarationError,
        "size 'h' of parameter 'G' (n, h) is unbound: call bind(h=…) first",
    ),
    (lambda: ComputationGraph(st.relu(G)).matrix(), CalculusError, "operation 'relu' has no matrix-expression"),
    (lambda: ComputationGraph(G + 1).matrix(), CalculusError, "a matrix plus a number has no matrix-expression"),
    (lambda: ComputationGraph(G.sum()).matrix(), CalculusError, "a sum over axes has no matrix-expression"),
    (lambda: ComputationGraph(T).matrix(), CalculusError, "T (2, n, h) has more than two axes"),
    (lambda: ComputationGraph(G @ H.T).elementwise, CalculusError, "mixes coordinates"),
    (lambda: ComputationGraph(a * u).elementwise, CalculusError, "is not elementwise"),
    (lambda: ComputationGraph(u * st.constant("c", n)).elementwise, CalculusError, "constant 'c' makes coordinates"),
    (lambda: ComputationGraph(u * v).differential({"z": u}), DeclarationError, "has no parameter 'z' to move"),
    (lambda: ComputationGraph(u * v).differential({"u": G}), ShapeError, "tangent G (n, h) of parameter 'u'"),
]


@pytest.mark.parametrize(("build", "error", "message"), BAD, ids=[message[:50] for _, _, message in BAD])
def test_bad_input_gets_one_clear_line(build: Callable[[], Any], error: type[SymtheoryError], message: str) -> None:
    with pytest.raises(SymtheoryError) as caught:
        build()
    assert type(caught.value) is error
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_cycle_is_refused_with_its_path() -> None:
    graph = ComputationGraph(st.relu(st.relu(u * v))).graph
    graph.add_edge("relu_2", "multiply_1", positions=(1,))
    with pytest.raises(DeclarationError, match=r"'looped' has a cycle: .*relu_1 → relu_2 → multiply_1"):
        ComputationGraph.from_graph(graph, name="looped")


def test_unused_parameter_in_a_graph_is_refused() -> None:
    graph = ComputationGraph(u * v).graph
    graph.add_node("k", operation=Parameter("k", (n,)))
    with pytest.raises(DeclarationError, match="parameter 'k' is used nowhere in 'mine'"):
        ComputationGraph.from_graph(graph, name="mine")


def two_sinks() -> nx.DiGraph:
    graph = ComputationGraph(u * v).graph
    graph.add_node("r", operation=ReLU())
    graph.add_edge("u", "r", positions=(0,))
    return graph


def without(kind: str) -> nx.DiGraph:
    graph = ComputationGraph(u * v).graph
    if kind == "operation":
        del graph.nodes["multiply_1"]["operation"]
    else:
        del graph.edges["u", "multiply_1"]["positions"]
    return graph


def with_gap() -> nx.DiGraph:
    graph = ComputationGraph(u * v).graph
    graph.edges["v", "multiply_1"]["positions"] = (2,)
    return graph


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (nx.DiGraph, "has 0 sinks: it needs one"),
        (two_sinks, r"has 2 sinks \(multiply_1, r\): it needs one"),
        (lambda: without("operation"), "node 'multiply_1' of 'g' carries no 'operation'"),
        (lambda: without("positions"), "edge 'u' → 'multiply_1' of 'g' carries no 'positions'"),
        (with_gap, "positions 0, 1, … of its operands"),
        (lambda: ComputationGraph(u * v).graph.to_undirected(), "must come from a networkx.DiGraph, not from Graph"),
    ],
)
def test_malformed_graphs_are_refused(make: Callable[[], nx.Graph], message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        ComputationGraph.from_graph(make(), name="g")


def test_numbers_of_every_finite_real_kind_are_accepted() -> None:
    from fractions import Fraction

    for number in (2, 0.5, np.float64(0.5), np.float32(0.5), np.int64(2), Fraction(1, 2), sp.Rational(1, 2), sp.pi, n):
        for node in (u * number, number * u, u + number, number - u, u / number, number / u):
            assert isinstance(node, Node)
            assert node.shape == (n,)
