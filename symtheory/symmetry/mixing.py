"""Places of a graph where linear symmetries may exist that propagation does not look for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from symtheory.graph.computation_graph import ComputationGraph
from symtheory.graph.node import Node
from symtheory.graph.operations.add import Add
from symtheory.graph.operations.leaf import Input, Parameter
from symtheory.graph.operations.matmul import MatMul
from symtheory.graph.operations.multiply import Multiply
from symtheory.graph.operations.permute import Permute
from symtheory.graph.operations.scale import Scale
from symtheory.graph.operations.sum import Sum


@dataclass(frozen=True)
class _Dependence:
    """Whether a node depends on parameters, and whether on data."""

    moves: bool
    data: bool


def mixing_reasons(graph: ComputationGraph) -> list[str]:
    """Reasons why the propagated group may be a part only of the linear symmetries; necessary, not sufficient.

    Propagation moves every parameter by itself. Fields that feed one parameter into another were found, by brute
    force on small instances, where the places named here occur, and nowhere else among the graphs tested.
    """

    def visit(node: Node, operands: list[_Dependence]) -> _Dependence:
        operation = node.operation
        return _Dependence(
            isinstance(operation, Parameter) or any(operand.moves for operand in operands),
            isinstance(operation, Input) or any(operand.data for operand in operands),
        )

    dependence = graph.fold(visit)
    return [reason for node in graph.nodes for reason in _reasons(node, dependence)]


def _reasons(node: Node, dependence: dict[Node, _Dependence]) -> Iterator[str]:
    operands = [dependence[operand] for operand in node.operands]
    all_move = all(operand.moves for operand in operands)
    if isinstance(node.operation, Add):
        moving = [dependence[summand] for summand in _summands(node) if dependence[summand].moves]
        if len({summand.data for summand in moving}) < len(moving):
            yield "add (fields that mix the parameters of its summands)"
    if isinstance(node.operation, Sum) and all_move:
        yield "sum (changes of basis on the axes it sums)"
    if isinstance(node.operation, MatMul):
        left, right = (operand.shape for operand in node.operands)
        with_vector = left[-2:-1] in ((), (1,)) or right[1:][-1:] in ((), (1,))
        if with_vector and all_move and not any(operand.data for operand in operands):
            yield "matmul with a vector (fields that are skew on the contracted axis)"
        if all(operand.data for operand in operands) and dependence[node].moves:
            yield "matmul of data with data (fields that cancel by the symmetry of the data)"
    behind_transpose = any(isinstance(operand.operation, Permute) for operand in node.operands)
    if isinstance(node.operation, Multiply) and all_move and behind_transpose:
        yield "transpose (coordinatewise rescalings behind it)"


def _summands(node: Node) -> Iterator[Node]:
    """The operands of a nest of sums and multiples as of one sum."""
    stack = [node]
    while stack:
        top = stack.pop()
        if isinstance(top.operation, Add | Scale):
            stack.extend(top.operands)
        else:
            yield top
