"""Shifts of parameters that the operations of a graph remove, or that a bias behind them can make up for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import sympy as sp

from symtheory.graph.action import Fate, subsets
from symtheory.graph.computation_graph import ComputationGraph
from symtheory.graph.node import Node
from symtheory.graph.operations.add import Add
from symtheory.graph.operations.add_axes import AddAxes
from symtheory.graph.operations.leaf import Constant, Input, Parameter
from symtheory.graph.operations.matmul import MatMul
from symtheory.graph.operations.multiply import Multiply
from symtheory.graph.operations.permute import Permute
from symtheory.graph.operations.reshape import Reshape
from symtheory.graph.operations.scale import Scale
from symtheory.graph.operations.sum import Sum
from symtheory.graph.shapes import Shape
from symtheory.graph.symbol_names import free_name
from symtheory.symmetry.translation import Translation


def find_translations(graph: ComputationGraph) -> list[Translation]:
    """For every parameter the largest sets of axes along which a shift may vary and leave the predictor as it is."""
    search = _Search(graph)
    found: list[Translation] = []
    for name, shape in graph.parameters.items():
        axes = tuple(axis for axis, size in enumerate(shape) if size != 1)
        largest: list[frozenset[int]] = []
        for varying in reversed(list(subsets(axes))):
            if any(varying <= larger for larger in largest):
                continue
            translation = search.follow(name, shape, varying)
            if translation is not None and not _is_counted(translation, found):
                largest.append(varying)
                found.append(translation)
    return found


def _is_counted(translation: Translation, found: list[Translation]) -> bool:
    """Whether its compensation is the shift of an earlier one: two biases that are added shift against each other."""
    return any(
        other.parameter in translation.compensation and translation.parameter in other.compensation for other in found
    )


@dataclass(frozen=True)
class _Bias:
    """A parameter that does nothing but add to a sum: factor · parameter, with leading axes put in front."""

    name: str
    shape: Shape
    factor: sp.Expr


class _Search:
    def __init__(self, graph: ComputationGraph) -> None:
        self.graph = graph
        self.uses = Counter(operand for node in graph.nodes for operand in node.operands)
        self.sums: dict[Node, Mapping[int, sp.Expr]] = graph.fold(
            lambda node, sums: node.operation.known_sums(node, sums)
        )

    def follow(self, name: str, shape: Shape, varying: frozenset[int]) -> Translation | None:
        """The shift of one parameter, followed through the graph; None when something of it is left."""
        sizes = [size if axis in varying else sp.Integer(1) for axis, size in enumerate(shape)]
        leaves = {node.operation.label for node in self.graph.nodes if not node.operands}
        leaf = Node(Constant(free_name("t", leaves), tuple(sizes)))
        shifts: dict[Node, Node] = {}
        compensation: dict[str, Node] = {}
        for node in self.graph.nodes:
            if isinstance(node.operation, Parameter):
                if node.operation.identifier == name:
                    shifts[node] = leaf
                continue
            moved = [shifts.get(operand) for operand in node.operands]
            if not any(moved):
                continue
            if self._absorb(node, moved, name, compensation):
                continue
            outcome = node.operation.translate(node, moved, [self.sums[operand] for operand in node.operands])
            if outcome is Fate.FORBIDDEN:
                return None
            if isinstance(outcome, Node):
                shifts[node] = outcome
        if self.graph.predictor in shifts:
            return None
        shapes = {parameter: self.graph.parameters[parameter] for parameter in (name, *compensation)}
        ordered = {parameter: shapes[parameter] for parameter in self.graph.parameters if parameter in shapes}
        return Translation("", ordered, name, tuple(sorted(varying)), leaf, compensation)

    def _absorb(self, node: Node, moved: list[Node | None], source: str, compensation: dict[str, Node]) -> bool:
        """Let a bias that is added here make up for the shift, where one can and does nothing else."""
        if not isinstance(node.operation, Add) or None not in moved:
            return False
        place = 0 if moved[0] is not None else 1
        shift, other = moved[place], node.operands[1 - place]
        bias = self._as_bias(other)
        if shift is None or bias is None or bias.name == source or bias.name in compensation:
            return False
        if any(wide == 1 and size != 1 for wide, size in zip(other.shape, shift.shape, strict=True)):
            return False
        used = _parameters_by_degree(shift)
        if used is None or used & {source, bias.name, *compensation}:
            return False
        leading = shift.rank - len(bias.shape)
        change = shift.reshape(*shift.shape[leading:]) if leading else shift
        compensation[bias.name] = change * (-1 / bias.factor)
        return True

    def _as_bias(self, node: Node) -> _Bias | None:
        factor: sp.Expr = sp.Integer(1)
        while self.uses[node] == 1 and isinstance(node.operation, AddAxes | Scale) and factor != 0:
            factor *= node.operation.factor if isinstance(node.operation, Scale) else 1
            (node,) = node.operands
        if self.uses[node] != 1 or not isinstance(node.operation, Parameter) or factor == 0:
            return None
        return _Bias(node.operation.identifier, node.shape, factor)


def _parameters_by_degree(root: Node) -> set[str] | None:
    """The parameters in a shift that is affine in them and free of data; None for any other."""
    try:
        degree, names = _degree(root)
    except _DependsOnDataError:
        return None
    return names if degree <= 1 else None


class _DependsOnDataError(Exception):
    """A shift that depends on the data cannot be made up for by a bias."""


def _degree(root: Node) -> tuple[int, set[str]]:
    operation = root.operation
    if isinstance(operation, Input):
        raise _DependsOnDataError
    if isinstance(operation, Parameter):
        return 1, {operation.identifier}
    parts = [_degree(operand) for operand in root.operands]
    names = set().union(*(names for _, names in parts)) if parts else set()
    if isinstance(operation, Add | AddAxes | Permute | Reshape | Scale | Sum):
        return max((degree for degree, _ in parts), default=0), names
    if isinstance(operation, MatMul | Multiply):
        return sum(degree for degree, _ in parts), names
    return (0, names) if not names else (2, names)
