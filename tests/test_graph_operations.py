"""Every operation against numpy, SymPy's own differentiation and torch.func.jvp."""

from __future__ import annotations

import math
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
from symtheory.errors import CalculusError, DeclarationError, ShapeError, SymtheoryError
from symtheory.graph.computation_graph import ComputationGraph
from symtheory.graph.node import Node
from symtheory.graph.operations.normal_cdf import NormalCDF
from symtheory.graph.operations.step import Step
from symtheory.graph.shapes import dims

# torch.func.jvp loads torch's own decompositions, which are still scripted.


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


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


normal_cdf = np.vectorize(lambda x: math.erfc(-x / math.sqrt(2)) / 2, otypes=[float])


def unfold(x: np.ndarray, axis: int, size: int) -> np.ndarray:
    return torch.from_numpy(x).unfold(axis, size, 1).numpy()


def torch_conv(kernel: np.ndarray, x: np.ndarray) -> np.ndarray:
    functional = torch.nn.functional
    function = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}[x.ndim - 1]
    return function(torch.from_numpy(x), torch.from_numpy(kernel)).numpy()


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
    Case("log", (M,), lambda x: st.log(x * x + 1), lambda x: np.log(x * x + 1)),
    Case("tanh", (M,), st.tanh, np.tanh),
    Case("sigmoid", (M,), st.sigmoid, sigmoid),
    Case("silu", (M,), st.silu, lambda x: x * sigmoid(x)),
    Case("gelu", (M,), st.gelu, lambda x: x * normal_cdf(x)),
    Case("normal_cdf", (M,), lambda x: Node(NormalCDF(), (x,)), normal_cdf),
    Case("softmax", (M,), st.softmax, softmax),
    Case("normalize", (M,), st.normalize, normalize),
    Case("normalize_vector", (V,), st.normalize, normalize),
    Case("rms_norm", (M,), st.rms_norm, rms_norm),
    Case("rms_norm_eps", (M,), lambda x: st.rms_norm(x, eps=0.5), lambda x: rms_norm(x, 0.5)),
    Case("layer_norm", (M,), st.layer_norm, layer_norm),
    Case("layer_norm_eps", (M,), lambda x: st.layer_norm(x, eps=0.5), lambda x: layer_norm(x, 0.5)),
    Case("cumsum", (M,), st.cumsum, lambda x: np.cumsum(x, axis=-1)),
    Case("windows", (M,), lambda x: st.windows(x, 2), lambda x: unfold(x, 1, 2)),
    Case("windows_vector", (V,), lambda x: st.windows(x, 2), lambda x: unfold(x, 0, 2)),
    Case("windows_first_axis", ((3, 2),), lambda x: st.windows(x, 2, axis=0), lambda x: unfold(x, 0, 2)),
    Case("windows_inner_axis", ((2, 4, 1),), lambda x: st.windows(x, 3, axis=-2), lambda x: unfold(x, 1, 3)),
    Case("windows_of_one", (M,), lambda x: st.windows(x, 1), lambda x: x[..., None]),
    Case("windows_of_all", (M,), lambda x: st.windows(x, 3), lambda x: x[:, None, :]),
    Case("conv1d", ((2, 3, 2), (3, 4)), st.conv, torch_conv),
    Case("conv1d_one_channel", ((1, 1, 3), (1, 3)), st.conv, torch_conv),
    Case("conv2d", ((1, 2, 2, 3), (2, 3, 4)), st.conv, torch_conv),
    Case("conv2d_filters", ((3, 1, 2, 1), (1, 2, 2)), st.conv, torch_conv),
    Case("conv3d", ((1, 2, 2, 1, 2), (2, 2, 1, 3)), st.conv, torch_conv),
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


UNITS = {
    "sigmoid": st.sigmoid,
    "silu": st.silu,
    "gelu": st.gelu,
    "normal_cdf": lambda x: Node(NormalCDF(), (x,)),
}


@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS)
def test_smooth_unit_keeps_its_digits_far_from_zero(unit: Callable[[Node], Node]) -> None:
    graph = ComputationGraph(unit(st.param("x", 7)))
    point = {"x": np.array([sp.Rational(a) for a in (-12, -9, -4, 0, 4, 9, 12)], dtype=object)}
    # torch's gelu takes 1 + erf, which is exact to float64's 2e-16 and no better where the unit is smaller than that.
    smallest = 1e-14 if unit is st.gelu else 0.0
    value = torch_value(graph, {"x": to_tensor(point["x"])})
    np.testing.assert_allclose(value.numpy(), float_value(graph, point), rtol=1e-13, atol=smallest)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("function", [*UNITS.values(), st.windows], ids=[*UNITS, "windows"])
def test_torch_source_follows_the_dtype(function: Callable[..., Node], dtype: torch.dtype) -> None:
    x = st.param("x", 3)
    graph = ComputationGraph(function(x, 2) if function is st.windows else function(x))
    assert torch_value(graph, {"x": torch.ones(3, dtype=dtype)}).dtype == dtype


SECOND_DERIVATIVES = {
    **{name: lambda x, unit=unit: unit(x) for name, unit in UNITS.items()},
    "windows": lambda x: st.windows(x, 2) ** 3,
    "conv": lambda x: st.conv(x.reshape(1, 1, 3), st.tanh(x).reshape(1, 3)),
}


@pytest.mark.parametrize("build", SECOND_DERIVATIVES.values(), ids=SECOND_DERIVATIVES)
def test_second_derivatives_of_the_torch_source_pass_under_vmap(build: Callable[[Node], Node]) -> None:
    """Double backward and forward over reverse, in a batch, against the Hessian in SymPy."""
    graph, rng = ComputationGraph(build(st.param("x", 3))), np.random.default_rng(6)
    points = [random_point(graph, rng)["x"] for _ in range(2)]
    total = torch_function(graph, ["x"], {})
    batch = torch.stack([to_tensor(point) for point in points])
    symbols = list(st.param("x", 3).operation.components())
    hessian = sp.hessian(sp.Add(*graph.components().ravel()), symbols)
    expected = [
        np.array(hessian.subs(dict(zip(symbols, point, strict=True))).evalf(30), dtype=float) for point in points
    ]
    for outer in (torch.func.jacrev, torch.func.jacfwd):
        value = torch.func.vmap(outer(torch.func.grad(lambda x: total(x).sum())))(batch)
        np.testing.assert_allclose(value.numpy(), np.stack(expected), rtol=TOLERANCE, atol=TOLERANCE)


def test_convolution_of_symbolic_sizes() -> None:
    """Bound or read off the tensors, the sizes give one value; no node but those of its parts."""
    a, b, k, l, p, q = dims("a b k l p q")
    graph = ComputationGraph(st.conv(st.param("K", a, b, k, l), st.input("x", b, p, q)))
    assert graph.predictor.shape == (a, p - k + 1, q - l + 1)
    assert {node.operation.name for node in graph.nodes if node.operands} == {
        "windows",
        "transpose",
        "reshape",
        "matmul",
    }
    sizes = {"a": 2, "b": 3, "k": 2, "l": 3, "p": 4, "q": 5}
    bound = graph.bind(**sizes)
    assert bound.predictor.shape == (2, 3, 3)
    assert bound.free_sizes == ()
    rng = np.random.default_rng(7)
    leaves = {"K": torch.from_numpy(rng.normal(size=(2, 3, 2, 3))), "x": torch.from_numpy(rng.normal(size=(3, 4, 5)))}
    expected = torch.nn.functional.conv2d(leaves["x"], leaves["K"])
    torch.testing.assert_close(torch_value(bound, leaves), expected, rtol=TOLERANCE, atol=TOLERANCE)
    torch.testing.assert_close(torch_value(graph, leaves, **sizes), expected, rtol=TOLERANCE, atol=TOLERANCE)


def test_size_of_a_window_alone_is_free_until_bound() -> None:
    n, k = dims("n k")
    graph = ComputationGraph(st.windows(st.param("x", n), k + 1).sum())
    assert graph.free_sizes == (k, n)
    assert graph.predictor.operands[0].operation.needed_sizes() == {k}
    with pytest.raises(CalculusError, match=r"windows of k \+ 1 entries have an unbound size"):
        graph.bind(n=3).components()
    assert graph.bind(n=3, k=2).components() == sum(st.param("x", 3).operation.components())
    x = torch.arange(1.0, 5.0)
    torch.testing.assert_close(torch_value(graph, {"x": x}, k=2), x.unfold(0, 3, 1).sum())


h = dims("h")
x34, k232 = st.param("x", 3, 4), st.param("k", 2, 3, 2)

BAD: list[tuple[Callable[[], Any], type[SymtheoryError], str]] = [
    (lambda: st.windows(x34, 5), ShapeError, "windows(x (3, 4)): axis -1 of (3, 4) has 4 entries, fewer than the 5 of"),
    (lambda: st.windows(x34, 4, axis=0), ShapeError, "axis -2 of (3, 4) has 3 entries, fewer than the 4 of a window"),
    (lambda: st.windows(x34, 2, axis=2), ShapeError, "windows(x (3, 4)): (3, 4) has no axis 2"),
    (lambda: st.windows(x34, 2, axis=-3), ShapeError, "windows(x (3, 4)): (3, 4) has no axis -3"),
    (lambda: st.windows(st.param("a"), 1), ShapeError, "windows(a ()): () has no axis -1"),
    (lambda: st.windows(x34, 2, axis="last"), ShapeError, "windows takes an axis as an int, not 'last'"),
    (lambda: st.windows(x34, 2, axis=True), ShapeError, "windows takes an axis as an int, not True"),
    (lambda: st.windows(x34, 0), ShapeError, "size 0 is not a positive integer"),
    (lambda: st.windows(st.param("x", h), h + 1), ShapeError, "has h entries, fewer than the h + 1 of a window"),
    (lambda: ComputationGraph(st.windows(st.param("x", h), 3)).bind(h=2), ShapeError, "has 2 entries, fewer than"),
    (lambda: ComputationGraph(st.windows(x34, h)).bind(h=5), ShapeError, "axis -1 of (3, 4) has 4 entries"),
    (lambda: st.windows(np.ones(3), 2), DeclarationError, "windows takes nodes of the graph, not ndarray"),
    (lambda: st.conv(x34, np.ones(3)), DeclarationError, "conv takes nodes of the graph, not ndarray"),
    (lambda: st.conv(x34, x34), ShapeError, "conv(x (3, 4), x (3, 4)): a kernel (c_out, c_in, k_1, …, k_s) goes with"),
    (lambda: st.conv(x34, st.param("y", 4)), ShapeError, "conv(x (3, 4), y (4,)): a kernel (c_out, c_in, k_1, …, k_s)"),
    (lambda: st.conv(k232, st.param("y", 3)), ShapeError, "conv(k (2, 3, 2), y (3,)): a kernel (c_out, c_in"),
    (lambda: st.conv(k232, x34.T), ShapeError, "the kernel takes 3 channels and the operand has 4"),
    (lambda: st.conv(k232, st.param("y", 3, 1)), ShapeError, "axis -1 of (3, 1) has 1 entries, fewer than the 2 of a"),
    (lambda: st.sigmoid(2), DeclarationError, "sigmoid takes a node of the graph, not int"),
]


@pytest.mark.parametrize(("build", "error", "message"), BAD, ids=[message[:50] for _, _, message in BAD])
def test_what_does_not_fit_is_refused_in_one_line(
    build: Callable[[], Any], error: type[SymtheoryError], message: str
) -> None:
    with pytest.raises(SymtheoryError) as caught:
        build()
    assert type(caught.value) is error
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
