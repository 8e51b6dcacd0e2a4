"""The predictor of a graph as the source of one torch function, a line per operation."""

from __future__ import annotations

from collections.abc import Iterable

import sympy as sp

from symtheory.codegen.layout import INDENT
from symtheory.graph.computation_graph import ComputationGraph
from symtheory.graph.node import Node
from symtheory.graph.operations.leaf import Constant, Input, Leaf, Number, Parameter
from symtheory.graph.shapes import show


def render_predictor(graph: ComputationGraph) -> str:
    """Source of ``predictor(point, <inputs and constants by name>)``, tensors ``(*batch, *shape)``."""
    names = _variable_names(graph)
    lines = [_signature(graph), *_docstring(graph)]
    lines += [f'{name} = point["{name}"]' for name in graph.parameters]
    lines += _size_lines(graph)
    for node in graph.nodes:
        if node.operands or isinstance(node.operation, Number):
            source = node.operation.torch(
                [names[operand] for operand in node.operands], [operand.shape for operand in node.operands]
            )
            names[node] = names[node] if node.operands else source
            if node.operands and node is not graph.predictor:
                lines.append(f"{names[node]} = {source}")
    last = graph.predictor
    lines.append(f"return {source if last.operands else names[last]}")
    return "\n".join([lines[0], *(INDENT + line if line else "" for line in lines[1:])]) + "\n"


def _signature(graph: ComputationGraph) -> str:
    keywords = "".join(f", {name}: Tensor" for name in (*graph.inputs, *graph.constants))
    return f"def predictor(point: dict[str, Tensor]{keywords}) -> Tensor:"


def _docstring(graph: ComputationGraph) -> Iterable[str]:
    def leaves(kind: type[Leaf]) -> list[str]:
        return [
            f"{node.operation.identifier} (*batch{''.join(f', {size}' for size in node.shape)})"
            for node in graph.nodes
            if type(node.operation) is kind
        ]

    yield f'"""The declared predictor, (*batch{"".join(f", {size}" for size in graph.predictor.shape)}).'
    yield ""
    yield f"point: {', '.join(leaves(Parameter))}."
    if graph.inputs:
        yield f"One sample each: {', '.join(leaves(Input))}."
    if graph.constants:
        yield f"Fixed: {', '.join(leaves(Constant))}."
    yield "Dimensionless; batch dimensions broadcast."
    yield '"""'


def _variable_names(graph: ComputationGraph) -> dict[Node, str]:
    """Leaves by their own names, results by operation and number, made different from every leaf."""
    taken = {*graph.parameters, *graph.inputs, *graph.constants, "point", *map(str, graph.free_sizes)}
    names = {}
    for node in graph.nodes:
        name = graph.identifier(node)
        while node.operands and name in taken:
            name += "_"
        names[node] = name
    return names


def _size_lines(graph: ComputationGraph) -> list[str]:
    """Where an operation needs the value of a symbolic size, it is read off the first tensor that has it."""
    needed: set[sp.Symbol] = set()
    for node in graph.nodes:
        needed |= node.operation.needed_sizes()
    lines = []
    for size in sorted(needed, key=str):
        leaf, axis = _first_axis_of(graph, size)
        lines.append(f"{size} = {leaf}.shape[{axis}]")
    return lines


def _first_axis_of(graph: ComputationGraph, size: sp.Symbol) -> tuple[str, int]:
    for node in graph.nodes:
        if isinstance(node.operation, Leaf) and size in node.shape:
            return node.operation.identifier, node.shape.index(size) - len(node.shape)
    raise LookupError(f"size {size} is the size of no axis in {show(graph.predictor.shape)}")
