"""Random small graphs: torch equals SymPy, the differential equals jvp, and every factor found is a symmetry."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import sympy as sp
import torch
from graph_oracles import TOLERANCE, exact_value, leaf_shapes, random_point, to_tensor, torch_function, torch_value
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as hs
from symmetry_checks import assert_symmetry

import symtheory.graph.functions as st
from symtheory.errors import DeclarationError, ShapeError
from symtheory.graph.computation_graph import ComputationGraph
from symtheory.graph.node import Node
from symtheory.graph.shapes import element_count
from symtheory.symmetry.find import find_symmetries

# torch.func.jvp loads torch's own decompositions, which are still scripted.

POLYNOMIAL: list[Callable[[Node, Node], Node]] = [
    lambda a, b: a + b,
    lambda a, b: a - 2 * b,
    lambda a, b: a * b,
    lambda a, b: a @ b,
    lambda a, b: a @ b.T,
    lambda a, b: a.T @ b,
    lambda a, b: a.T,
    lambda a, b: a**2,
    lambda a, b: a / 3 + 1,
    lambda a, b: a.sum(0),
    lambda a, b: a.sum(-1),
    lambda a, b: a.reshape(element_count(a.shape)),
    lambda a, b: a.reshape(*a.shape, 1),
    lambda a, b: st.cumsum(a),
    lambda a, b: st.relu(a),
    lambda a, b: st.leaky_relu(a, 0.25),
    lambda a, b: st.abs(a),
]
SMOOTH: list[Callable[[Node, Node], Node]] = [
    lambda a, b: st.tanh(a),
    lambda a, b: st.sigmoid(a),
    lambda a, b: st.silu(a),
    lambda a, b: st.gelu(a),
    lambda a, b: st.softmax(a),
    lambda a, b: st.normalize(a),
    lambda a, b: st.rms_norm(a),
    lambda a, b: st.layer_norm(a, eps=0.5),
]

SHAPES = hs.lists(hs.sampled_from([1, 2, 3]), min_size=0, max_size=2)


@hs.composite
def graphs(draw: hs.DrawFn, smooth: bool) -> ComputationGraph:
    """A valid graph of up to seven operations on up to three parameters and an input."""
    nodes = [
        st.param(f"p{index}", *shape) for index, shape in enumerate(draw(hs.lists(SHAPES, min_size=1, max_size=3)))
    ]
    nodes.append(st.input("x", *draw(SHAPES)))
    operators = POLYNOMIAL + SMOOTH if smooth else POLYNOMIAL
    for _ in range(draw(hs.integers(1, 7))):
        operator = draw(hs.sampled_from(operators))
        first, second = draw(hs.sampled_from(nodes)), draw(hs.sampled_from(nodes))
        try:
            nodes.append(operator(first, second))
        except ShapeError:
            continue
    predictor = draw(hs.sampled_from(nodes[-3:]))
    try:
        graph = ComputationGraph(predictor)
    except DeclarationError:
        assume(False)
        raise
    assume(predictor.operands)
    return graph


def is_regular(values: torch.Tensor) -> bool:
    return bool(torch.isfinite(values).all()) and float(values.abs().max()) < 1e6


SLOW = settings(max_examples=60, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])


@SLOW
@given(graph=graphs(smooth=True), seed=hs.integers(0, 1000))
def test_torch_equals_sympy(graph: ComputationGraph, seed: int) -> None:
    point = random_point(graph, np.random.default_rng(seed))
    value = torch_value(graph, {name: to_tensor(array) for name, array in point.items()})
    assume(is_regular(value))
    digits = {
        name: np.asarray(np.frompyfunc(lambda e: sp.Float(e, 40), 1, 1)(array), dtype=object)
        for name, array in point.items()
    }
    expected = [float(sp.N(entry, 30)) for entry in exact_value(graph, digits).ravel()]
    assert tuple(value.shape) == tuple(int(size) for size in graph.predictor.shape)
    np.testing.assert_allclose(value.numpy().ravel(), expected, rtol=TOLERANCE, atol=TOLERANCE)


@SLOW
@given(graph=graphs(smooth=True), seed=hs.integers(0, 1000))
def test_batches_of_points_are_evaluated_one_by_one(graph: ComputationGraph, seed: int) -> None:
    """Parameters (R, 1, *shape), inputs (R, B, *shape)."""
    rng, replicas, samples = np.random.default_rng(seed), 2, 3
    leaves = {
        name: torch.from_numpy(rng.normal(size=(replicas, samples if name == "x" else 1, *shape)))
        for name, shape in leaf_shapes(graph).items()
    }
    batched = torch_value(graph, leaves)
    assume(is_regular(batched))
    shape = tuple(int(size) for size in graph.predictor.shape)
    batched = batched.expand(replicas, samples, *shape)
    for r in range(replicas):
        for s in range(samples):
            single = {name: leaf[r, s if name == "x" else 0] for name, leaf in leaves.items()}
            torch.testing.assert_close(batched[r, s], torch_value(graph, single), rtol=TOLERANCE, atol=TOLERANCE)


@SLOW
@given(graph=graphs(smooth=True), seed=hs.integers(0, 1000))
def test_differential_equals_jvp(graph: ComputationGraph, seed: int) -> None:
    rng = np.random.default_rng(seed)
    leaves = {name: torch.from_numpy(rng.normal(size=shape)) for name, shape in leaf_shapes(graph).items()}
    names = list(graph.parameters)
    directions = {name: torch.from_numpy(rng.normal(size=leaves[name].shape)) for name in names}
    _, expected = torch.func.jvp(
        torch_function(graph, names, leaves), tuple(leaves[name] for name in names), tuple(directions.values())
    )
    assume(is_regular(expected))
    moved = graph.differential({name: st.input(f"d_{name}", *graph.parameters[name]) for name in names})
    assert moved is not None
    anchored = ComputationGraph(moved + sum(st.param(name, *graph.parameters[name]).sum() * 0 for name in names))
    value = torch_value(anchored, {**leaves, **{f"d_{name}": tangent for name, tangent in directions.items()}})
    torch.testing.assert_close(value, expected, rtol=TOLERANCE, atol=TOLERANCE)


@settings(SLOW, max_examples=150)
@given(graph=graphs(smooth=False), seed=hs.integers(0, 1000))
def test_every_factor_found_is_a_symmetry(graph: ComputationGraph, seed: int) -> None:
    for factor in find_symmetries(graph):
        if factor.dimension != 0:
            assert_symmetry(graph, factor, seed)
