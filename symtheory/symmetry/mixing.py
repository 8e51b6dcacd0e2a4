"""Places of a graph where affine symmetries may exist that propagation does not look for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from symtheory.graph.computation_graph import ComputationGraph
from symtheory.graph.node import Node
from symtheory.graph.operations.add import Add
from symtheory.graph.operations.add_axes import AddAxes
from symtheory.graph.operations.cumsum import CumulativeSum
from symtheory.graph.operations.leaf import Input, Leaf, Number, Parameter
from symtheory.graph.operations.matmul import MatMul
from symtheory.graph.operations.multiply import Multiply
from symtheory.graph.operations.permute import Permute
from symtheory.graph.operations.power import Power
from symtheory.graph.operations.reshape import Reshape
from symtheory.graph.operations.scale import Scale
from symtheory.graph.operations.sum import Sum

LINEAR = (Add, AddAxes, Permute, Reshape, Scale, Sum)
POLYNOMIAL = (*LINEAR, MatMul, Multiply)


@dataclass(frozen=True)
class _Dependence:
    """Whether a node depends on parameters and on data, and what of the data its polynomial part is a polynomial of.

    features: the nonlinear nodes that depend on data (and inputs themselves, as ``None``) from which the node is
    reached by sums and products alone; two nodes without a common feature are different functions of the data.
    offset: whether parameters alone make up one of its summands, as a bias does.
    """

    moves: bool
    data: bool
    features: frozenset[Node | None]
    offset: bool

    @property
    def is_polynomial(self) -> bool:
        return self.features <= {None}


def mixing_reasons(graph: ComputationGraph) -> list[str]:
    """Reasons why the propagated group may be a part only of the affine symmetries; necessary, not sufficient.

    Propagation moves every parameter by itself. Fields that feed one parameter into another were found, by brute
    force on small instances, where the places named here occur, and nowhere else among the graphs tested.
    """
    dependence = graph.fold(_dependence)
    reasons = [reason for node in graph.nodes for reason in _reasons(node, dependence)]
    return reasons + list(_conjugates(graph, dependence))


def _conjugates(graph: ComputationGraph, dependence: dict[Node, _Dependence]) -> Iterator[str]:
    """A fixed linear map L with parameters on both sides: A may come out as L A L⁻¹, which is not looked for."""
    for node in graph.nodes:
        if dependence[node].moves and _is_fixed_linear(node, dependence):
            behind = _descendants(graph, node)
            if any(
                isinstance(later.operation, MatMul | Multiply)
                and any(dependence[operand].moves for operand in set(later.operands) - behind - {node})
                for later in behind
            ):
                yield f"{node.operation.name} (changes of basis that come out of a fixed map as others)"


def _is_fixed_linear(node: Node, dependence: dict[Node, _Dependence]) -> bool:
    if isinstance(node.operation, CumulativeSum):
        return True
    fixed = [operand for operand in node.operands if not dependence[operand].moves and not dependence[operand].data]
    return isinstance(node.operation, MatMul | Multiply) and any(
        not isinstance(operand.operation, Number) for operand in fixed
    )


def _descendants(graph: ComputationGraph, node: Node) -> set[Node]:
    found = {node}
    for later in graph.nodes:
        if any(operand in found for operand in later.operands):
            found.add(later)
    return found - {node}


def _dependence(node: Node, operands: list[_Dependence]) -> _Dependence:
    operation = node.operation
    if isinstance(operation, Leaf | Number):
        is_input = isinstance(operation, Input)
        is_parameter = isinstance(operation, Parameter)
        return _Dependence(is_parameter, is_input, frozenset({None} if is_input else ()), is_parameter)
    moves, data = any(operand.moves for operand in operands), any(operand.data for operand in operands)
    is_whole_power = isinstance(operation, Power) and operation.exponent.is_Integer and operation.exponent > 0
    if isinstance(operation, POLYNOMIAL) or is_whole_power:
        features: frozenset[Node | None] = frozenset().union(*(operand.features for operand in operands))
    else:
        features = frozenset({node} if data else ())
    is_linear = isinstance(operation, POLYNOMIAL) and sum(operand.data for operand in operands) <= 1
    offset = moves and (not data or (is_linear and any(operand.offset for operand in operands if operand.data)))
    if isinstance(operation, Add):
        offset = any(operand.offset for operand in operands)
    return _Dependence(moves, data, features, offset)


def _reasons(node: Node, dependence: dict[Node, _Dependence]) -> Iterator[str]:
    operands = [dependence[operand] for operand in node.operands]
    all_move = all(operand.moves for operand in operands)
    if isinstance(node.operation, Add):
        moving = [dependence[summand] for summand in _summands(node) if dependence[summand].moves]
        if any(_may_mix(first, second) for place, first in enumerate(moving) for second in moving[:place]):
            yield "add (fields that mix the parameters of its summands)"
    if isinstance(node.operation, Sum) and all_move and operands[0].is_polynomial:
        yield "sum (changes of basis on the axes it sums)"
    if isinstance(node.operation, MatMul):
        left, right = operands
        shapes = [operand.shape for operand in node.operands]
        no_rows, no_columns = shapes[0][-2:-1] in ((), (1,)), shapes[1][1:][-1:] in ((), (1,))
        if (no_rows and _turns_in(left, right)) or (no_columns and _turns_in(right, left)):
            yield "matmul with a vector (fields that are skew on the contracted axis)"
        if (no_rows or no_columns) and dependence[node].moves and left.features & right.features:
            yield "matmul of data with data (fields that cancel by the symmetry of the data)"


def _turns_in(vector: _Dependence, other: _Dependence) -> bool:
    """Whether v·(… + b) does not see δb = A v with a skew A: v of parameters alone, and a summand b of such."""
    return vector.moves and not vector.data and other.offset


def _may_mix(first: _Dependence, second: _Dependence) -> bool:
    """Whether the two can be the same function of the data."""
    if first.data != second.data:
        return False
    return not first.data or bool(first.features & second.features)


def _summands(node: Node) -> Iterator[Node]:
    """The operands of a nest of sums and multiples as of one sum."""
    stack = [node]
    while stack:
        top = stack.pop()
        if isinstance(top.operation, Add | Scale):
            stack.extend(top.operands)
        else:
            yield top
