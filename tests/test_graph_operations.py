"""Every operation against numpy, SymPy's own differentiation and torch.func.jvp."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import sympy as sp
import torch
from graph_oracles import (
    TOLERANCE,
    exact_value,
    float_value,
    leaf_shapes,
    random_point,
    stack_batch,
    to_float,
    to_tensor,
    torch_function,
    torch_value,
)

import symtheory.graph.functions as st
from symtheory.graph.computation_graph import ComputationGraph
from symtheory.graph.node import Node
from symtheory.graph.operations.step import Step

# torch.func.jvp loads torch's own decompositions, which are still scripted.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")


@dataclass(frozen=True)
class Case:
    """A graph on parameters ``p0, p1, …`` of the given shapes, and the same function in numpy."""

    name: str
    shapes: tuple[tuple[int, ...], ...]
    build: Callable[..., Node]
    reference: Callable[..., Any]
    positive: bool = False

    def graph(self) -> ComputationGraph:
        return ComputationGraph(self.build(*(st.param(f"p{i}", *shape) for i, shape in enumerate(self.shapes))))


def softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)


def layer_norm(x: np.ndarray, eps: float = 0.0) -> np.ndarray:
    return (x - x.mean(axis=-1, keepdims=True)) / np.sqrt(x.var(axis=-1, keepdims=True) + eps)


def rms_norm(x: np.ndarray, eps: float = 0.0) -> np.ndarray:
    return x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + eps)


def normalize(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


M, N, V, W, S = (2, 3), (3, 2), (3,), (2,), ()

CASES = [
    Case("add", (M, M), lambda x, y: x + y, np.add),
    Case("add_vector_below_matrix", (M, V), lambda x, y: x + y, np.add),
    Case("add_size_one", ((2, 1), M), lambda x, y: x + y, np.add),
    Case("add_both_stretched", ((2, 1), (1, 3)), lambda x, y: x + y, np.add),
    Case("add_scalar_node", (M, S), lambda x, y: y + x, np.add),
    Case("add_number", (M,), lambda x: x + sp.Rational(1, 3), lambda x: x + 1 / 3),
    Case("number_add", (S,), lambda x: 2 + x, lambda x: 2 + x),
    Case("add_negative_number", (V,), lambda x: x - 0.25, lambda x: x - 0.25),
    Case("add_root", (V,), lambda x: x + sp.sqrt(2), lambda x: x + np.sqrt(2)),
    Case("subtract", (M, M), lambda x, y: x - y, np.subtract),
    Case("subtract_from_number", (M,), lambda x: 1 - x, lambda x: 1 - x),
    Case("negate", (M,), lambda x: -x, np.negative),
    Case("multiply", (M, M), lambda x, y: x * y, np.multiply),
    Case("multiply_size_one", ((2, 1), M), lambda x, y: x * y, np.multiply),
    Case("multiply_outer", ((2, 1), V), lambda x, y: x * y, np.multiply),
    Case("multiply_scalar_node", (S, M), lambda x, y: x * y, np.multiply),
    Case("square_by_product", (V,), lambda x: x * x, np.square),
    Case("scale", (M,), lambda x: 3 * x, lambda x: 3 * x),
    Case("scale_rational", (M,), lambda x: x * sp.Rational(-2, 7), lambda x: x * (-2 / 7)),
    Case("scale_root", (M,), lambda x: x * sp.sqrt(2), lambda x: x * np.sqrt(2)),
    Case("divide_by_number", (M,), lambda x: x / 8, lambda x: x / 8),
    Case("divide", (M, V), lambda x, y: x / y, np.divide),
    Case("reciprocal", (V,), lambda x: 2 / x, lambda x: 2 / x),
    Case("power_0", (V,), lambda x: x**0 + x, lambda x: 1 + x),
    Case("power_1", (V,), lambda x: x**1, lambda x: x),
    Case("power_2", (V,), lambda x: x**2, lambda x: x**2),
    Case("power_3", (M,), lambda x: x**3, lambda x: x**3),
    Case("power_minus_2", (V,), lambda x: x**-2, lambda x: x**-2.0),
    Case("power_half", (V,), lambda x: x**0.5, np.sqrt, positive=True),
    Case("power_two_thirds", (V,), lambda x: x ** sp.Rational(2, 3), lambda x: x ** (2 / 3), positive=True),
    Case("matmul", (M, N), lambda x, y: x @ y, np.matmul),
    Case("matmul_matrix_vector", (M, V), lambda x, y: x @ y, np.matmul),
    Case("matmul_vector_matrix", (W, M), lambda x, y: x @ y, np.matmul),
    Case("matmul_vector_vector", (V, V), lambda x, y: x @ y, np.matmul),
    Case("matmul_stacks", ((2, 2, 3), (2, 3, 2)), lambda x, y: x @ y, np.matmul),
    Case("matmul_stretched_stack", ((1, 2, 3), (2, 3, 2)), lambda x, y: x @ y, np.matmul),
    Case("matmul_stack_matrix", ((2, 2, 3), N), lambda x, y: x @ y, np.matmul),
    Case("matmul_matrix_stack", (M, (2, 3, 2)), lambda x, y: x @ y, np.matmul),
    Case("matmul_vector_stack", (V, (2, 3, 2)), lambda x, y: x @ y, np.matmul),
    Case("matmul_stack_vector", ((2, 2, 3), V), lambda x, y: x @ y, np.matmul),
    Case("transpose", (M,), lambda x: x.T, np.transpose),
    Case("transpose_stack", ((2, 1, 3),), lambda x: x.T, lambda x: np.swapaxes(x, -1, -2)),
    Case("transpose_axes", ((2, 1, 3),), lambda x: x.transpose(2, 0, 1), lambda x: np.transpose(x, (2, 0, 1))),
    Case("sum_all", (M,), lambda x: x.sum(), np.sum),
    Case("sum_first", (M,), lambda x: x.sum(0), lambda x: x.sum(axis=0)),
    Case("sum_last", (M,), lambda x: x.sum(-1), lambda x: x.sum(axis=-1)),
    Case("sum_two", ((2, 1, 3),), lambda x: x.sum((0, -1)), lambda x: x.sum(axis=(0, 2))),
    Case("sum_none", (M,), lambda x: x.sum(()), lambda x: x),
    Case("sum_scalar", (S,), lambda x: x.sum(), lambda x: x),
    Case("reshape", (M,), lambda x: x.reshape(3, 2), lambda x: x.reshape(3, 2)),
    Case("reshape_flat", (M,), lambda x: x.reshape(6), lambda x: x.reshape(6)),
    Case("reshape_scalar", (S,), lambda x: x.reshape(1, 1), lambda x: x.reshape(1, 1)),
    Case("reshape_to_scalar", ((1,),), lambda x: x.reshape(), lambda x: x.reshape(())),
    Case("relu", (M,), st.relu, lambda x: np.maximum(x, 0)),
    Case("leaky_relu", (M,), lambda x: st.leaky_relu(x, 0.25), lambda x: np.where(x > 0, x, 0.25 * x)),
    Case("abs", (M,), st.abs, np.abs),
    Case("step", (M,), lambda x: Node(Step(sp.Integer(-1)), (x,)) * x, lambda x: np.sign(x) * x),
    Case("exp", (M,), st.exp, np.exp),
    Case("tanh", (M,), st.tanh, np.tanh),
    Case("softmax", (M,), st.softmax, softmax),
    Case("normalize", (M,), st.normalize, normalize),
    Case("normalize_vector", (V,), st.normalize, normalize),
    Case("rms_norm", (M,), st.rms_norm, rms_norm),
    Case("rms_norm_eps", (M,), lambda x: st.rms_norm(x, eps=0.5), lambda x: rms_norm(x, 0.5)),
    Case("layer_norm", (M,), st.layer_norm, layer_norm),
    Case("layer_norm_eps", (M,), lambda x: st.layer_norm(x, eps=0.5), lambda x: layer_norm(x, 0.5)),
    Case("cumsum", (M,), st.cumsum, lambda x: np.cumsum(x, axis=-1)),
]


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


def test_components_and_shape_equal_numpy(case: Case) -> None:
    graph, rng = case.graph(), np.random.default_rng(1)
    point = random_point(graph, rng, case.positive)
    expected = np.asarray(case.reference(*(to_float(point[f"p{i}"]) for i in range(len(case.shapes)))))
    assert tuple(int(size) for size in graph.predictor.shape) == expected.shape
    np.testing.assert_allclose(float_value(graph, point), expected, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("batch", [(), (2,), (3, 2)], ids=["none", "one", "two"])
def test_torch_source_with_leading_batch_dimensions_equals_numpy(case: Case, batch: tuple[int, ...]) -> None:
    graph, rng = case.graph(), np.random.default_rng(2)
    points = [random_point(graph, rng, case.positive) for _ in range(int(np.prod(batch)))]
    value = torch_value(graph, stack_batch(points, batch))
    expected = np.stack(
        [np.asarray(case.reference(*(to_float(point[f"p{i}"]) for i in range(len(case.shapes))))) for point in points]
    )
    assert value.dtype == torch.float64
    expected = expected.reshape((*batch, *expected.shape[1:]))
    assert value.shape == expected.shape
    np.testing.assert_allclose(value.numpy(), expected, rtol=TOLERANCE, atol=TOLERANCE)


def test_torch_source_broadcasts_replicas_against_samples(case: Case) -> None:
    """The first leaf (R, 1, *shape), the others (R, B, *shape): the layout of parameters against inputs."""
    graph, rng, replicas, samples = case.graph(), np.random.default_rng(3), 3, 2
    names = list(leaf_shapes(graph))
    points = [random_point(graph, rng, case.positive) for _ in range(replicas * samples)]
    for index, point in enumerate(points):
        point[names[0]] = points[index - index % samples][names[0]]
    leaves = stack_batch(points, (replicas, samples))
    leaves[names[0]] = leaves[names[0]][:, :1]
    value = torch_value(graph, leaves)
    expected = [case.reference(*(to_float(point[f"p{i}"]) for i in range(len(case.shapes)))) for point in points]
    shape = np.shape(expected[0])
    value = value.expand(replicas, samples, *shape).reshape((-1, *shape))
    np.testing.assert_allclose(value.numpy(), np.stack(expected), rtol=TOLERANCE, atol=TOLERANCE)


def with_differential(graph: ComputationGraph) -> ComputationGraph:
    """Dφ(θ)[ξ] as a graph, ξ made of inputs named d_<parameter>."""
    tangents = {name: st.input(f"d_{name}", *shape) for name, shape in graph.parameters.items()}
    moved = graph.differential(tangents)
    assert moved is not None
    assert moved.shape == graph.predictor.shape
    anchor = sum((st.param(name, *shape).sum() * 0 for name, shape in graph.parameters.items()), moved * 0)
    return ComputationGraph(moved + anchor)  # every leaf occurs, also where the derivative does not need it


def test_infinitesimal_rule_equals_sympy_differentiation(case: Case) -> None:
    graph, rng = case.graph(), np.random.default_rng(4)
    differential = with_differential(graph)
    point = random_point(differential, rng, case.positive)
    symbols = {name: st.param(name, *shape).operation.components() for name, shape in graph.parameters.items()}
    at = {
        symbol: value
        for name, array in symbols.items()
        for symbol, value in zip(array.ravel(), point[name].ravel(), strict=True)
    }
    directions = {
        symbol: value
        for name, array in symbols.items()
        for symbol, value in zip(array.ravel(), point[f"d_{name}"].ravel(), strict=True)
    }
    expected = [
        sum((entry.diff(symbol).subs(at) * direction for symbol, direction in directions.items()), sp.Integer(0))
        for entry in exact_value(graph, symbols).ravel()
    ]
    np.testing.assert_allclose(
        float_value(differential, point).ravel(),
        [float(sp.N(entry.doit(), 30)) for entry in expected],
        rtol=TOLERANCE,
        atol=TOLERANCE,
    )


def test_torch_source_of_the_differential_equals_jvp(case: Case) -> None:
    graph, rng = case.graph(), np.random.default_rng(5)
    differential = with_differential(graph)
    leaves = {name: to_tensor(array) for name, array in random_point(differential, rng, case.positive).items()}
    names = list(graph.parameters)
    _, expected = torch.func.jvp(
        torch_function(graph, names, {}),
        tuple(leaves[name] for name in names),
        tuple(leaves[f"d_{name}"] for name in names),
    )
    torch.testing.assert_close(torch_value(differential, leaves), expected, rtol=TOLERANCE, atol=TOLERANCE)


def test_differential_of_one_moving_parameter_has_the_predictors_shape() -> None:
    """A broadcast summand moves alone: its tangent is stretched."""
    x, y = st.param("x", 2, 3), st.param("y", 3)
    graph = ComputationGraph(x + y)
    moved = graph.differential({"y": st.input("dy", 3)})
    assert moved is not None
    assert moved.shape == (2, 3)
    assert ComputationGraph(x * 1 + y).differential({}) is None
