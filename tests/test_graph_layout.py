"""Axes that a reshape splits or joins, the indices that run along them, and operations without a declared rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import sympy as sp

import symtheory as st
from symtheory.graph.axis_refinement import AxisRefinement
from symtheory.graph.computation_graph import ComputationGraph
from symtheory.graph.layout import Layout, regroup
from symtheory.graph.node import Node
from symtheory.graph.operation import Elementwise, Operation
from symtheory.graph.shapes import Shape, as_shape
from symtheory.symmetry.find import find_symmetries

n, d, H, h = st.dims("n d H h")


@pytest.mark.parametrize(
    ("old", "new", "groups"),
    [
        ((n, H * h), (n, H, h), [((0,), (0,)), ((1,), (1, 2))]),
        ((n, H, h), (n, H * h), [((0,), (0,)), ((1, 2), (1,))]),
        ((n * d,), (n, d), [((0,), (0, 1))]),
        ((n, d), (n, d), [((0,), (0,)), ((1,), (1,))]),
        ((n, 1), (n,), [((0,), (0,))]),
        ((n,), (1, n, 1), [((0,), (1,))]),
        ((2, 3), (3, 2), [((0, 1), (0, 1))]),
        ((4, 6), (2, 12), [((0, 1), (0, 1))]),
        ((6, 4), (2, 3, 4), [((0,), (0, 1)), ((1,), (2,))]),
        ((2, 6), (12,), [((0, 1), (0,))]),
        ((), (1,), []),
    ],
)
def test_a_reshape_falls_into_its_finest_groups(old: Shape, new: Shape, groups: list) -> None:
    assert regroup(as_shape(old), as_shape(new)) == groups


def test_groups_hold_the_same_entries_in_the_same_order() -> None:
    """Against numpy: a matrix along an axis of a group commutes with the reshape exactly where the group says so."""
    values = np.arange(24).reshape(6, 4)
    assert regroup(as_shape((6, 4)), as_shape((2, 3, 4)))[0] == ((0,), (0, 1))
    np.testing.assert_array_equal(values.reshape(2, 3, 4)[1, 2], values[1 * 3 + 2])


def test_places_and_their_names() -> None:
    layout = Layout((as_shape((n,)), as_shape((H, h)), as_shape((2, 2))))
    assert layout.sizes == as_shape((n, H, h, 2, 2))
    assert layout.shape == (n, H * h, sp.Integer(4))
    assert [list(layout.places(axis)) for axis in (0, 1, -1)] == [[0], [1, 2], [3, 4]]
    assert [layout.axis_of(place) for place in range(5)] == [0, 1, 1, 2, 2]
    described = ["axis 0", "axis 1 part H", "axis 1 part h", "axis 2 part 1 of 2", "axis 2 part 2 of 2"]
    assert [layout.describe(place) for place in range(5)] == described


def _parameter(graph: ComputationGraph, name: str) -> Node:
    return next(node for node in graph.nodes if node.operation.label == name)


def test_a_split_reaches_the_parameters_behind_it() -> None:
    x, W, b, V = st.input("x", d), st.param("W", H * h, d), st.param("b", H * h), st.param("V", 3, h)
    graph = ComputationGraph(V @ (W @ x + b).reshape(H, h).T)
    refinement = AxisRefinement(graph)
    w, bias, v = (_parameter(graph, name) for name in "WbV")
    assert refinement.layouts[w].axes == (as_shape((H, h)), as_shape((d,)))
    assert refinement.layouts[bias].axes == (as_shape((H, h)),)
    assert refinement.indices[w][:2] == refinement.indices[bias]
    assert refinement.indices[v][1] == refinement.indices[w][1]
    assert refinement.indices[w][2] == refinement.indices[_parameter(graph, "x")][0]


def test_an_axis_split_in_two_ways_keeps_the_first() -> None:
    z = st.param("z", 12)
    graph = ComputationGraph((z.reshape(3, 4) @ st.param("a", 4)).sum() + (z.reshape(2, 6) @ st.param("b", 6)).sum())
    assert AxisRefinement(graph).layouts[_parameter(graph, "z")].axes == (as_shape((3, 4)),)
    group = find_symmetries(graph)
    assert any("reshape" in reason for reason in group.lower_bound)


def test_a_regrouping_that_is_none_blocks_and_says_so() -> None:
    graph = ComputationGraph(st.param("A", 2, 3).reshape(3, 2) @ st.param("B", 2, 2))
    group = find_symmetries(graph)
    assert [factor.kind for factor in group] == ["scaling"]
    assert group.lower_bound == ("reshape (changes of basis on the axes it regroups)",)


@dataclass(frozen=True)
class Sine(Elementwise):
    """An operation of a user, without a word about what passes through it."""

    name: ClassVar[str] = "sine"

    def scalar(self, *operands: sp.Expr) -> sp.Expr:
        return sp.sin(operands[0])

    def torch(self, operands: Sequence[str], shapes: Sequence[Shape]) -> str:
        return f"torch.sin({operands[0]})"

    def tangent(self, operands: Sequence[Node], tangents: Sequence[Node | None], result: Node) -> Node | None:
        return None if tangents[0] is None else Node(Sine(), [operands[0] + sp.pi / 2]) * tangents[0]


def test_an_operation_without_a_declared_rule_blocks_and_says_so() -> None:
    x = st.input("x", 3)
    V, W, U = st.param("V", 2, 4), st.param("W", 4, 5), st.param("U", 5, 3)
    group = find_symmetries(ComputationGraph(V @ Node(Sine(), [W @ st.relu(U @ x)])))
    assert [str(factor.lives_on) for factor in group] == ["edge R^5 (W axis 1, U axis 0)"]
    assert group.lower_bound == ("sine (no equivariance is declared for it)",)
    assert "lower bound: sine (no equivariance is declared for it)" in str(group)
    # Whatever acts on each coordinate alike lets permutations pass.
    assert "permutations of R^4 (V axis 1, W axis 0)" in map(str, group.discrete)


def test_where_nothing_moves_an_undeclared_operation_blocks_nothing() -> None:
    x = st.input("x", 3)
    group = find_symmetries(ComputationGraph(st.param("V", 2, 4) @ st.param("W", 4, 3) @ Node(Sine(), [x])))
    assert [factor.kind for factor in group] == ["GL"]
    assert group.lower_bound == ()


def test_a_new_operation_needs_no_rule() -> None:
    assert set(Operation.__abstractmethods__) == {"shape", "components", "torch", "tangent"}
