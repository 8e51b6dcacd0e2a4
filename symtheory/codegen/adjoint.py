"""Reverse mode on a graph: the statements of the value, and those that take a cotangent back to the parameters."""

from __future__ import annotations

from collections.abc import Iterable

from symtheory.codegen.contraction_text import CONTRACT
from symtheory.codegen.naming import Names
from symtheory.errors import CodegenError
from symtheory.graph.computation_graph import ComputationGraph
from symtheory.graph.node import Node
from symtheory.graph.operations.leaf import Input, Leaf, Number, Parameter
from symtheory.graph.operations.stretch import enclosed, gathered

SAMPLE = "s"
"""Letter of the samples' axis in a contraction; no operation uses it for an axis of its own."""

Statement = tuple[str, str]


class Adjoint:
    """Statements (variable, source) of one graph, forward and backward.

    What depends on an input has an axis of samples before its own axes; what does not has none, and its cotangent is
    summed over the samples where the two meet: in a contraction without a tensor for each sample. Operations that are
    linear in their operands say what their adjoint is; that of any other is the transpose of its infinitesimal rule,
    which is linear in the tangents.
    """

    def __init__(self, graph: ComputationGraph, reserved: set[str]) -> None:
        self.graph = graph
        self.forward_statements: list[Statement] = []
        self.backward_statements: list[Statement] = []
        self.names: dict[Node, str] = {}
        self._pool = Names({*reserved, "cotangent", "sum", *map(str, graph.free_sizes)})
        arguments = {*graph.inputs, *graph.constants}
        for node in graph.nodes:
            if isinstance(node.operation, Leaf):
                name = node.operation.identifier
                self.names[node] = name if name in arguments else self._pool.unique(name)
        self._sampled: dict[Node, bool] = {}
        self._moving = graph.fold(lambda node, moving: isinstance(node.operation, Parameter) or any(moving))
        self._statements = self.forward_statements
        self._cotangents: dict[Node, list[str]] = {}

    def forward(self) -> str:
        """Emit the value; the source of the predictor, with an axis of samples wherever the graph has inputs."""
        for node in self.graph.nodes:
            self._value(node)
        last = self.graph.predictor
        return self._lifted(last, bool(self.graph.inputs))

    def backward(self, cotangent: str) -> dict[str, str]:
        """Emit the pullback; parameter → source of its gradient."""
        self._statements = self.backward_statements
        last = self.graph.predictor
        self._cotangents = {last: [self._without_samples(last, cotangent, bool(self.graph.inputs))]}
        for node in reversed(self.graph.nodes):
            if node.operands:
                self._back_through(node)
        return {
            node.operation.identifier: self._gradient(node)
            for node in self.graph.nodes
            if isinstance(node.operation, Parameter)
        }

    def _gradient(self, node: Node) -> str:
        terms = self._cotangents.get(node, [])
        return " + ".join(terms) if terms else f"torch.zeros_like({self.names[node]})"

    def _back_through(self, node: Node, is_tangent: bool = False) -> None:
        """Hand the cotangent of one node on to those of its operands that move."""
        terms = self._cotangents.get(node)
        if not terms or not any(map(self._moves, node.operands)):
            return
        cotangent = terms[0] if len(terms) == 1 else self._assign(f"d_{self._title(node)}", " + ".join(terms))
        for place, operand in enumerate(node.operands):
            if self._moves(operand):
                source = self._contracted(node, place, cotangent) or self._linear(node, place, cotangent)
                if source is None:
                    if is_tangent:
                        raise CodegenError(
                            f"the infinitesimal rule of an operation of '{self.graph.name}' is not made of linear "
                            f"operations: '{node.operation.name}' has no adjoint"
                        )
                    self._back_through_tangent(node, cotangent)
                    return
                self._add(operand, source)

    def _contracted(self, node: Node, place: int, cotangent: str) -> str | None:
        """The cotangent of one factor of a product that contracts axes, the samples among them."""
        letters = self._letters(node)
        if letters is None:
            return None
        operand, other = node.operands[place], node.operands[1 - place]
        spec = f"{letters[2]},{letters[1 - place]}->{letters[place]}"
        source = f'{CONTRACT}("{spec}", {cotangent}, {self._value(other)})'
        stacks = max(operand.rank - 2, 0)
        outer = node.shape[: max(node.operands[0].rank, node.operands[1].rank, 2) - 2]
        return gathered(source, operand.shape, (*outer[len(outer) - stacks :], *operand.shape[stacks:]))

    def _letters(self, node: Node) -> tuple[str, str, str] | None:
        letters = node.operation.contraction([operand.shape for operand in node.operands])
        if letters is None:
            return None
        nodes = (*node.operands, node)
        left, right, result = (
            f"...{SAMPLE if self._has_samples(each) else ''}{axes}" for each, axes in zip(nodes, letters, strict=True)
        )
        return left, right, result

    def _linear(self, node: Node, place: int, cotangent: str) -> str | None:
        operand, sampled = node.operands[place], self._has_samples(node)
        operands = ["" if self._is_tangent(each) else self._lifted(each, sampled) for each in node.operands]
        shapes = [each.shape for each in node.operands]
        source = node.operation.adjoint(place, cotangent, operands, shapes, node.shape)
        return None if source is None else self._without_samples(operand, source, sampled)

    def _back_through_tangent(self, node: Node, cotangent: str) -> None:
        """Transpose the infinitesimal rule: backwards through its nodes, from the tangent of the result."""
        tangents = [
            Node(Parameter(f"tangent {place}", operand.shape)) if self._moves(operand) else None
            for place, operand in enumerate(node.operands)
        ]
        for operand, tangent in zip(node.operands, tangents, strict=True):
            if tangent is not None:
                self._sampled[tangent], self._moving[tangent] = self._has_samples(operand), True
        moved = node.operation.tangent(node.operands, tangents, node)
        if moved is None:
            return
        known = dict(self._moving)
        self._moving = dict.fromkeys(self._moving, False) | {tangent: True for tangent in tangents if tangent}
        self._cotangents[moved] = [cotangent]
        for each in reversed(_order(moved, stop={*self.graph.nodes})):
            if each.operands:
                self._back_through(each, is_tangent=True)
        self._moving = known
        for operand, tangent in zip(node.operands, tangents, strict=True):
            if tangent is not None and tangent in self._cotangents:
                self._add(operand, self._gradient(tangent))

    def _add(self, node: Node, source: str) -> None:
        name = source if source.isidentifier() else self._assign(f"d_{self._title(node)}", source)
        self._cotangents.setdefault(node, []).append(name)

    def _value(self, node: Node) -> str:
        """The variable of a node's value, made at its first use; a number stands for itself."""
        if node in self.names:
            return self.names[node]
        shapes = [operand.shape for operand in node.operands]
        if isinstance(node.operation, Number):
            return node.operation.torch([], [])
        letters = self._letters(node)
        if letters is not None:
            values = ", ".join(map(self._value, node.operands))
            source = f'{CONTRACT}("{letters[0]},{letters[1]}->{letters[2]}", {values})'
        else:
            sampled = self._has_samples(node)
            source = node.operation.torch([self._lifted(operand, sampled) for operand in node.operands], shapes)
        self.names[node] = self._assign(node.operation.name, source)
        return self.names[node]

    def _lifted(self, node: Node, sampled: bool) -> str:
        """The value with an axis of samples, of size 1 if it is the same for all of them, where one is wanted."""
        value = self._value(node)
        if isinstance(node.operation, Number) or not sampled or self._has_samples(node):
            return value
        return f"{value}.unsqueeze(-{node.rank + 1})"

    def _without_samples(self, node: Node, source: str, sampled: bool) -> str:
        """A cotangent, summed over the samples if the node is the same for all of them."""
        if not sampled or self._has_samples(node):
            return source
        return f"{enclosed(source)}.sum(dim=-{node.rank + 1})"

    def _has_samples(self, node: Node) -> bool:
        if node not in self._sampled:
            own = isinstance(node.operation, Input)
            self._sampled[node] = own or any(map(self._has_samples, node.operands))
        return self._sampled[node]

    def _moves(self, node: Node) -> bool:
        if node not in self._moving:
            self._moving[node] = any(map(self._moves, node.operands))
        return self._moving[node]

    def _is_tangent(self, node: Node) -> bool:
        return self._moves(node) and node not in self.names

    def _title(self, node: Node) -> str:
        return self.names.get(node, node.operation.name)

    def _assign(self, wish: str, source: str) -> str:
        name = self._pool.numbered("".join(c if c.isalnum() else "_" for c in wish))
        self._statements.append((name, source))
        return name


def _order(root: Node, stop: Iterable[Node]) -> list[Node]:
    """The nodes above ``root``, operands first, as far as those of the graph itself."""
    found: dict[Node, None] = dict.fromkeys(stop)
    own: list[Node] = []
    stack = [root]
    while stack:
        node = stack[-1]
        waiting = [operand for operand in node.operands if operand not in found]
        if node in found or not waiting:
            stack.pop()
            if node not in found:
                found[node] = None
                own.append(node)
        else:
            stack.extend(waiting)
    return own
