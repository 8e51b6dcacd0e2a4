"""The predictor of a graph as the source of one torch function, a line per operation."""

from __future__ import annotations

from collections.abc import Mapping

from symtheory.codegen.docstring import shape_text
from symtheory.codegen.layout import INDENT, LINE_LENGTH, fold_statement
from symtheory.codegen.naming import Names
from symtheory.codegen.paragraph import fold_entry
from symtheory.codegen.size_source import axes_of, size_lines
from symtheory.errors import CodegenError
from symtheory.graph.computation_graph import ComputationGraph
from symtheory.graph.node import Node
from symtheory.graph.operations.leaf import Leaf, Number, Parameter


def render_predictor(
    graph: ComputationGraph, name: str = "predictor", summary: str = "The declared predictor; batch axes broadcast."
) -> str:
    """Source of ``name(point, <inputs and constants by name>)``, tensors ``(*batch, *shape)``."""
    names = _variable_names(graph)
    lines = [
        f'{INDENT}{names[node]} = point["{node.operation.identifier}"]'
        for node in graph.nodes
        if isinstance(node.operation, Parameter)
    ]
    lines += [INDENT + line for line in _size_lines(graph, names)]
    for node in graph.nodes:
        if not node.operands and not isinstance(node.operation, Number):
            continue
        source = node.operation.torch(
            [names[operand] for operand in node.operands], [operand.shape for operand in node.operands]
        )
        if not node.operands:
            names[node] = source
        elif node is not graph.predictor:
            lines += fold_statement(f"{names[node]} = ", source)
    last = graph.predictor
    lines += fold_statement("return ", source if last.operands else names[last])
    return "\n".join([*_signature(graph, name), *_docstring(graph, summary), *lines]) + "\n"


def _signature(graph: ComputationGraph, name: str) -> list[str]:
    arguments = ["point: dict[str, Tensor]", *(f"{name}: Tensor" for name in (*graph.inputs, *graph.constants))]
    line = f"def {name}({', '.join(arguments)}) -> Tensor:"
    if len(line) <= LINE_LENGTH:
        return [line]
    return [f"def {name}(", *(f"{INDENT}{argument}," for argument in arguments), ") -> Tensor:"]


def _docstring(graph: ComputationGraph, summary: str) -> list[str]:
    point = ", ".join(f'"{name}" {shape_text(shape)}' for name, shape in graph.parameters.items())
    entries = [f"point: dict with {point}."]
    entries += [f"{name}: one sample, tensor {shape_text(shape)}." for name, shape in graph.inputs.items()]
    entries += [f"{name}: fixed, tensor {shape_text(shape)}." for name, shape in graph.constants.items()]
    return [
        f'{INDENT}"""{summary}',
        "",
        f"{INDENT}Args:",
        *(line for entry in entries for line in fold_entry(entry)),
        f"{INDENT}Returns:",
        f"{2 * INDENT}tensor {shape_text(graph.predictor.shape)}.",
        f'{INDENT}"""',
    ]


def _variable_names(graph: ComputationGraph) -> dict[Node, str]:
    """Leaves by their own names where these are free, results by operation and number, all of them different."""
    arguments = (*graph.inputs, *graph.constants)
    names = Names({"point", *map(str, graph.free_sizes)})
    for argument in arguments:
        if names.unique(argument) != argument:
            raise CodegenError(f"'{argument}' cannot be an argument of the generated predictor: give it another name")
    leaves = [node for node in graph.nodes if not node.operands]
    results = [node for node in graph.nodes if node.operands]
    return {
        node: argument if (argument := graph.identifier(node)) in arguments else names.unique(argument)
        for node in [*leaves, *results]
    }


def _size_lines(graph: ComputationGraph, names: Mapping[Node, str]) -> list[str]:
    """Where an operation needs the value of a symbolic size, it is read off the first tensor that has it."""
    needed = {size for node in graph.nodes for size in node.operation.needed_sizes()}
    leaves = {names[node]: node.shape for node in graph.nodes if isinstance(node.operation, Leaf)}
    return size_lines(needed, axes_of(leaves), graph.name)
