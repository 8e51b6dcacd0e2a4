"""Slow independent readings of a declared graph: node by node in exact rationals, and node by node in torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import sympy as sp
import torch

from symtheory.graph.computation_graph import ComputationGraph
from symtheory.graph.node import Node
from symtheory.graph.operations.leaf import Leaf

# Sums of a few dozen float64 products of numbers of order one: errors stay below 1e-13; 1e-10 leaves room for the
# division by small norms.
TOLERANCE = 1e-10

Point = dict[str, np.ndarray]


def random_rationals(rng: np.random.Generator, shape: tuple[int, ...], positive: bool = False) -> np.ndarray:
    """Object array of SymPy rationals a/8 with 1 <= |a| <= 16: exact in float64, and never 0."""
    numerators = rng.integers(1, 17, size=shape) * (1 if positive else rng.choice([-1, 1], size=shape))
    return np.asarray(np.frompyfunc(lambda a: sp.Rational(int(a), 8), 1, 1)(numerators), dtype=object)


def leaf_shapes(graph: ComputationGraph) -> dict[str, tuple[int, ...]]:
    leaves = {**graph.parameters, **graph.inputs, **graph.constants}
    return {name: tuple(int(size) for size in shape) for name, shape in leaves.items()}


def random_point(graph: ComputationGraph, rng: np.random.Generator, positive: bool = False) -> Point:
    """Exact values of every leaf of a bound graph."""
    return {name: random_rationals(rng, shape, positive) for name, shape in leaf_shapes(graph).items()}


def to_float(array: np.ndarray) -> np.ndarray:
    return np.asarray(np.frompyfunc(float, 1, 1)(array), dtype=np.float64)


def to_tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(to_float(array))


def exact_value(graph: ComputationGraph, point: Mapping[str, np.ndarray]) -> np.ndarray:
    """The predictor at exact leaf values, each operation in explicit components."""

    def visit(node: Node, operands: list[np.ndarray]) -> np.ndarray:
        operation = node.operation
        return point[operation.label] if isinstance(operation, Leaf) else operation.components(*operands)

    return graph.fold(visit)[graph.predictor]


def float_value(graph: ComputationGraph, point: Mapping[str, np.ndarray]) -> np.ndarray:
    return to_float(np.frompyfunc(lambda entry: sp.N(entry, 30), 1, 1)(exact_value(graph, point)))


def torch_value(graph: ComputationGraph, leaves: Mapping[str, torch.Tensor], **sizes: int) -> torch.Tensor:
    """The predictor by executing the torch source of every operation; leaves may carry leading batch dimensions."""

    def visit(node: Node, operands: list[torch.Tensor]) -> torch.Tensor:
        operation = node.operation
        if isinstance(operation, Leaf):
            return leaves[operation.label]
        names = [f"operand_{index}" for index in range(len(operands))]
        source = operation.torch(names, [operand.shape for operand in node.operands])
        scope: dict[str, Any] = {"torch": torch, **sizes, **dict(zip(names, operands, strict=True))}
        return eval(source, scope)  # the source under test

    return graph.fold(visit)[graph.predictor]


def torch_function(graph: ComputationGraph, names: list[str], fixed: Mapping[str, torch.Tensor]) -> Callable[..., Any]:
    """The predictor as a function of the named leaves in order."""
    return lambda *values: torch_value(graph, {**fixed, **dict(zip(names, values, strict=True))})


def stack_batch(points: list[Point], batch: tuple[int, ...]) -> dict[str, torch.Tensor]:
    """Points as tensors (*batch, *shape)."""
    return {
        name: torch.stack([to_tensor(point[name]) for point in points]).reshape((*batch, *points[0][name].shape))
        for name in points[0]
    }
