"""Networks by their widths, and slow symbolic oracles for brackets of gradients."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import sympy as sp

import symtheory.graph.functions as st
from symtheory.graph.computation_graph import ComputationGraph
from symtheory.symmetry.certificate.circuit import compile_circuit
from symtheory.symmetry.certificate.gradient_source import GradientSource


def deep_linear(*widths: int) -> ComputationGraph:
    """W_0 W_1 … with W_i of shape (widths[i], widths[i + 1])."""
    product = st.param("W0", *widths[:2])
    for index, sizes in enumerate(pairwise(widths[1:]), 1):
        product = product @ st.param(f"W{index}", *sizes)
    return ComputationGraph(product, name="deep_linear_" + "_".join(map(str, widths)))


def deep_relu(*widths: int) -> ComputationGraph:
    """ReLU network without biases; widths from the input to the output."""
    z = st.input("x", widths[0])
    for index, (size, wide) in enumerate(pairwise(widths)):
        z = st.param(f"W{index}", wide, size) @ (st.relu(z) if index else z)
    return ComputationGraph(z, name="relu_" + "_".join(map(str, widths)))


def source_of(graph: ComputationGraph, seed: int = 0) -> GradientSource:
    return GradientSource(compile_circuit(graph), seed)


def bracket(first: sp.Matrix, second: sp.Matrix, theta: Sequence[sp.Symbol]) -> sp.Matrix:
    """[f, g] = Dg·f − Df·g."""
    return (second.jacobian(theta) * first - first.jacobian(theta) * second).applyfunc(sp.expand)


def parameter_symbols(graph: ComputationGraph) -> list[sp.Symbol]:
    leaves = {node.operation.label: node.operation.components() for node in graph.nodes if not node.operands}
    return [symbol for name in graph.parameters for symbol in leaves[name].ravel()]


def gradient_field(graph: ComputationGraph, weights: Sequence[int], theta: Sequence[sp.Symbol]) -> sp.Matrix:
    """∇ Σ_i weights_i φ_i of a graph without inputs."""
    value = sum(
        sp.Integer(int(weight)) * entry for weight, entry in zip(weights, graph.components().ravel(), strict=True)
    )
    return sp.Matrix([sp.diff(value, symbol) for symbol in theta])


def symbolic_lie_dimension(graph: ComputationGraph) -> int:
    """All brackets written out, level by level, with the rank at one rational point; polynomial, no inputs."""
    theta = parameter_symbols(graph)
    point = {symbol: sp.Rational(3 + index**2, 7 + 2 * index) for index, symbol in enumerate(theta)}
    generators = [sp.Matrix([sp.diff(entry, symbol) for symbol in theta]) for entry in graph.components().ravel()]
    level, fields, found = generators, list(generators), -1
    while True:
        rank = int(sp.Matrix.hstack(*(field.subs(point) for field in fields)).rank())
        if rank == found:
            return rank
        found = rank
        level = [bracket(generator, field, theta) for generator in generators for field in level]
        fields += level
