"""The graph itself: symbolic shapes, merging of equal subexpressions, binding, hashing, round trips, depth."""

from __future__ import annotations

import os
import subprocess
import sys

import networkx as nx
import numpy as np
import pytest
import sympy as sp
import torch
from graph_oracles import exact_value, random_point, to_tensor, torch_value

import symtheory.graph.functions as st
from symtheory.graph.computation_graph import ComputationGraph
from symtheory.graph.node import Node
from symtheory.graph.shapes import as_size, dims, same_size, show, torch_number, torch_size

n, m, h = dims("n m h")
u, v = st.param("u", n), st.param("v", n)
G, H = st.param("G", n, h), st.param("H", m, h)
S, x, b = st.param("S", 2, n, h), st.input("x", h), st.param("b", n)


@pytest.mark.parametrize(
    ("node", "shape"),
    [
        (u + v, (n,)),
        (G + b.reshape(n, 1), (n, h)),
        (st.param("r", 1, h) * G, (n, h)),
        (G * x, (n, h)),
        (G @ H.T, (n, m)),
        (G @ x, (n,)),
        (u @ G, (h,)),
        (u @ v, ()),
        (S @ H.T, (2, n, m)),
        (S @ x, (2, n)),
        (u @ S, (2, h)),
        (S.transpose(2, 0, 1), (h, 2, n)),
        (S.T, (2, h, n)),
        (S.sum((0, 2)), (n,)),
        (S.reshape(n * 2, h), (2 * n, h)),
        (S.reshape(2 * n * h), (2 * h * n,)),
        (st.param("W", n + n) + st.param("Z", 2 * n), (2 * n,)),
        (st.softmax(G), (n, h)),
        (u / sp.sqrt(n), (n,)),
        (1 + u.sum(), ()),
    ],
    ids=str,
)
def test_shape_rule_at_symbolic_sizes(node: Node, shape: tuple[sp.Expr, ...]) -> None:
    assert len(node.shape) == len(shape)
    assert all(same_size(*sizes) for sizes in zip(node.shape, map(as_size, shape), strict=True))


def test_equal_subexpressions_are_merged_and_equal_leaves_are_one() -> None:
    graph = ComputationGraph(st.relu(u * v) + st.relu(st.param("u", n) * st.param("v", n)))
    assert [graph.identifier(node) for node in graph.nodes] == ["u", "v", "multiply_1", "relu_1", "add_1"]
    assert graph.graph.edges["relu_1", "add_1"]["positions"] == (0, 1)
    assert len(ComputationGraph(st.relu(u) + st.leaky_relu(u)).nodes) == 4
    assert len(ComputationGraph(u * v + v * u).nodes) == 5  # operands in another order are another product


def test_number_meets_a_tensor_without_an_operation_of_its_own() -> None:
    graph = ComputationGraph(u * v + 1)
    assert [node.operation.name for node in graph.nodes] == ["parameter", "parameter", "multiply", "number", "add"]
    assert graph.elementwise.predictor == sp.Symbol("u", real=True) * sp.Symbol("v", real=True) + 1


def test_factor_and_power_one_add_nothing() -> None:
    assert u * 1 is u
    assert u**1 is u


@pytest.mark.parametrize(
    "predictor",
    [u * u - v * v, G @ H.T, st.relu(S @ x).sum(0) + b, (u - 0.5) * u / sp.sqrt(n), st.softmax(G.reshape(h, n)).T],
)
def test_round_trip_through_networkx(predictor: Node) -> None:
    graph = ComputationGraph(predictor, name="trip")
    again = ComputationGraph.from_graph(graph.graph, name="trip")
    assert again.declaration_hash == graph.declaration_hash
    relabelled = nx.relabel_nodes(graph.graph, {key: index for index, key in enumerate(graph.graph)})
    assert ComputationGraph.from_graph(relabelled).declaration_hash == graph.declaration_hash


def test_hash_tells_declarations_apart() -> None:
    declarations = [u * v, v * u, u * v * 2, u * v * 3, st.param("u", m) * st.param("v", m), u + v, st.relu(u) * v]
    declarations += [st.leaky_relu(u) * v, st.input("u", n) * v, u**2 * v, u**3 * v, (u * v).reshape(n, 1)]
    assert len({ComputationGraph(node).declaration_hash for node in declarations}) == len(declarations)


def test_hash_is_the_same_in_every_process() -> None:
    code = (
        "import symtheory.graph.functions as st\n"
        "from symtheory.graph.shapes import dims\n"
        "from symtheory.graph.computation_graph import ComputationGraph\n"
        "n, m, h = dims('n m h')\n"
        "W = st.param('W', n * m, h)\n"
        "print(ComputationGraph(st.rms_norm(W, 0.1) @ st.input('x', h) / n + st.constant('c', m * n)).declaration_hash)"
    )
    hashes = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, check=True, capture_output=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(hashes) == 1
    assert len(hashes.pop().strip()) == 64


def test_bind_gives_the_graph_that_is_declared_with_those_sizes() -> None:
    bound = ComputationGraph((G @ H.T) / sp.sqrt(h) + n).bind(n=5, m=4, h=2)
    declared = (st.param("G", 5, 2) @ st.param("H", 4, 2).T) / sp.sqrt(2) + 5
    assert bound.declaration_hash == ComputationGraph(declared).declaration_hash
    assert bound.free_sizes == ()
    assert [str(size) for size in ComputationGraph(G @ H.T).bind(m=3).free_sizes] == ["h", "n"]
    bound.require_bound()


def test_a_size_that_only_scales_can_be_bound() -> None:
    graph = ComputationGraph(u * m)
    assert [str(size) for size in graph.free_sizes] == ["m", "n"]
    assert exact_value(graph.bind(n=1, m=3), {"u": np.array([sp.Integer(2)], dtype=object)})[0] == 6


def test_torch_source_reads_symbolic_sizes_by_name() -> None:
    graph = ComputationGraph((S.reshape(2 * n, h) @ x) / sp.sqrt(h) * sp.Rational(1, 3) + sp.sqrt(n) / 7)
    bound = graph.bind(n=3, h=4)
    leaves = {name: to_tensor(value) for name, value in random_point(bound, np.random.default_rng(0)).items()}
    # Both sources round 1/3 and the roots once: one unit in the last place apart.
    torch.testing.assert_close(torch_value(graph, leaves, n=3, h=4), torch_value(bound, leaves), rtol=1e-15, atol=1e-15)


def test_sizes_and_numbers_as_source() -> None:
    assert [torch_size(size) for size in (as_size(3), n, n * m, n * (n + 1) / 2)] == [
        "3",
        "n",
        "m*n",
        "(n*(n + 1)) // (2)",
    ]
    assert eval(torch_number(sp.Rational(1, 3))) == 1 / 3
    assert eval(torch_number(1 / sp.sqrt(n) / 3), {"n": 5}) == pytest.approx(1 / (3 * 5**0.5), rel=1e-15)


def test_two_thousand_operations_in_a_row() -> None:
    depth = 2000
    assert sys.getrecursionlimit() < 2 * depth
    node: Node = u
    for index in range(depth):
        node = st.relu(node) if index % 2 else node * v
    graph = ComputationGraph(node)
    assert len(graph.nodes) == depth + 2
    assert repr(node) == "Node(relu(⊙), shape=(n,))"
    assert ComputationGraph.from_graph(graph.graph).declaration_hash == graph.declaration_hash
    moved = graph.differential({"u": st.input("du", n)})
    assert moved is not None
    assert len(ComputationGraph(moved).nodes) > depth
    bound = graph.bind(n=1)
    ones = {"u": torch.ones(1), "v": torch.ones(1)}
    assert torch_value(bound, ones) == 1


def test_matrix_meaning_equals_components() -> None:
    bound = {"n": 2, "m": 3, "h": 2}
    for node in (
        G @ H.T,
        2 * (G @ H.T) - st.constant("C", n, m),
        u @ G,
        (u @ G) + x,
        G @ x,
        G * G,
        (u @ G) @ x,
        (G @ x) @ u,
        -G.T,
    ):
        graph = ComputationGraph(node)
        graph = graph.bind(**{str(size): bound[str(size)] for size in graph.free_sizes})
        point = random_point(graph, np.random.default_rng(0))
        matrices = {name: sp.ImmutableMatrix(np.atleast_1d(value)) for name, value in point.items()}
        symbols = {sp.MatrixSymbol(name, *matrix.shape): matrix for name, matrix in matrices.items()}
        value = sp.Matrix(graph.matrix().subs(symbols).doit())
        assert value == sp.Matrix(np.atleast_1d(exact_value(graph, point))), node


def test_repr_names_leaves_and_shapes() -> None:
    assert repr(ComputationGraph(G @ H.T, name="low_rank")) == "ComputationGraph(low_rank: G (n, h), H (m, h) → (n, m))"
    assert [show(shape) for shape in ((), (n,), (n, m))] == ["()", "(n,)", "(n, m)"]
