"""Value and pullback of a graph as the source of one torch function: reverse mode, a line per operation."""

from __future__ import annotations

import re
from collections.abc import Iterable

import sympy as sp

from symtheory.codegen.adjoint import Adjoint
from symtheory.codegen.contraction_text import CONTRACT, CONTRACTION_TEXT
from symtheory.codegen.docstring import shape_text
from symtheory.codegen.layout import INDENT, LINE_LENGTH, fold_statement
from symtheory.codegen.paragraph import fold_entry, fold_paragraph
from symtheory.codegen.size_source import axes_of, size_lines
from symtheory.errors import CodegenError
from symtheory.graph.computation_graph import ComputationGraph
from symtheory.graph.operations.leaf import Leaf, Parameter

NAME = "value_and_pullback"
RESULT = "tuple[Tensor, Callable[[Tensor], dict[str, Tensor]]]"


def render_pullback(graph: ComputationGraph) -> dict[str, str]:
    """Source of ``value_and_pullback(point, <inputs and constants by name>)``, with the function it calls if any.

    Inputs carry one axis more than the point, that of the samples, after the batch axes they share. Raises
    ``CodegenError`` for a name that cannot be an argument, and for an operation without an adjoint.
    """
    arguments = (*graph.inputs, *graph.constants)
    adjoint = Adjoint(graph, {"point", "pullback", *arguments})
    taken = [name for name in arguments if name in {"point", "pullback", "cotangent", "torch", "Tensor", "Callable"}]
    if taken:
        raise CodegenError(f"'{taken[0]}' cannot be an argument of the generated {NAME}: give it another name")
    unpacked = [
        f'{adjoint.names[node]} = point["{node.operation.identifier}"]'
        for node in graph.nodes
        if isinstance(node.operation, Parameter)
    ]
    value = adjoint.forward()
    gradient = adjoint.backward("cotangent")
    forward, backward = adjoint.forward_statements, adjoint.backward_statements
    text = "\n".join(source for _, source in (*forward, *backward))
    tensors = {adjoint.names[node]: node.shape for node in graph.nodes if isinstance(node.operation, Leaf)}
    sizes = size_lines(_named(graph.free_sizes, text), axes_of(tensors), graph.name)
    lines = [INDENT + line for line in (*unpacked, *sizes)]
    lines += _folded(forward, INDENT)
    lines += ["", f"{INDENT}def pullback(cotangent: Tensor) -> dict[str, Tensor]:"]
    lines += _folded(backward, 2 * INDENT)
    lines += [f"{2 * INDENT}return {{"]
    lines += [f'{3 * INDENT}"{name}": {source},' for name, source in gradient.items()]
    lines += [f"{2 * INDENT}}}", "", f"{INDENT}return {value}, pullback"]
    helpers = {CONTRACT: CONTRACTION_TEXT} if f"{CONTRACT}(" in text else {}
    return helpers | {NAME: "\n".join([*_signature(arguments), *_docstring(graph), *lines]) + "\n"}


def _folded(statements: Iterable[tuple[str, str]], indent: str) -> list[str]:
    return [line for name, source in statements for line in fold_statement(f"{name} = ", source, indent)]


def _named(sizes: Iterable[sp.Symbol], text: str) -> list[sp.Symbol]:
    """Sizes that the statements read; no variable bears the name of one."""
    return [size for size in sizes if re.search(rf"\b{size}\b", text)]


def _signature(arguments: Iterable[str]) -> list[str]:
    listed = ["point: dict[str, Tensor]", *(f"{name}: Tensor" for name in arguments)]
    line = f"def {NAME}({', '.join(listed)}) -> {RESULT}:"
    if len(line) <= LINE_LENGTH:
        return [line]
    return [f"def {NAME}(", *(f"{INDENT}{argument}," for argument in listed), f") -> {RESULT}:"]


def _docstring(graph: ComputationGraph) -> list[str]:
    samples = "samples, " if graph.inputs else ""

    def batched(shape: Iterable[object], extra: str = "") -> str:
        return shape_text(tuple(shape)).replace("(*batch", f"(*batch, {extra}".removesuffix(", "))

    point = ", ".join(f'"{name}" {shape_text(shape)}' for name, shape in graph.parameters.items())
    entries = [f"point: dict with {point}."]
    entries += [
        f"{name}: tensor {batched(shape, samples)}, batch axes of size 1 where it is the same."
        for name, shape in graph.inputs.items()
    ]
    entries += [f"{name}: fixed, tensor {shape_text(shape)}." for name, shape in graph.constants.items()]
    returns = (
        f"the predictor, tensor {batched(graph.predictor.shape, samples)}, and a function that takes a cotangent of "
        "that shape to the gradient of their inner product, a dict with the keys and shapes of the point."
    )
    summed = " Gradients are summed over the samples." if samples else ""
    return [
        *fold_paragraph(f'"""The predictor, and its differential transposed: reverse mode.{summed}', INDENT),
        "",
        f"{INDENT}Args:",
        *(line for entry in entries for line in fold_entry(entry)),
        f"{INDENT}Returns:",
        *fold_entry(returns),
        f'{INDENT}"""',
    ]
