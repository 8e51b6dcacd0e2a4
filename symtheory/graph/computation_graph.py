"""A declared graph: parameters, inputs and constants as sources, operations inside, one predictor as sink."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, TypeVar

import sympy as sp

from symtheory.errors import CalculusError, DeclarationError, ShapeError
from symtheory.graph.elementwise import ElementwiseModel
from symtheory.graph.node import Node
from symtheory.graph.operation import Elementwise, Operation
from symtheory.graph.operations.leaf import Constant, Input, Leaf, Number, Parameter
from symtheory.graph.shapes import Shape, Size, as_size, is_bound, same_shape, show

if TYPE_CHECKING:
    import networkx as nx
    import numpy as np

T = TypeVar("T")


class ComputationGraph:
    """A predictor as a function of parameters, given as a graph of operations.

    predictor: the sink; name: how reports call it; parameters: nodes that must occur in the graph (optional).
    Raises ``DeclarationError`` when there is no parameter, when a listed parameter is used nowhere, or when two
    leaves share a name but not kind and shape.
    """

    def __init__(
        self, predictor: Node, name: str = "parametrization", parameters: Sequence[Node] | None = None
    ) -> None:
        if not isinstance(predictor, Node):
            raise DeclarationError(f"a parametrization is made from a node, not from {type(predictor).__name__}")
        self.name = name
        self._ids, self._order = _canonical_order(predictor)
        self.predictor = self._order[-1]
        used = {node.operation for node in self._order}
        for node in parameters or ():
            if not isinstance(node, Node) or not isinstance(node.operation, Parameter):
                raise DeclarationError(f"'{name}': {node!r} is listed among the parameters and is none")
            if node.operation not in used:
                raise DeclarationError(f"parameter '{node.title}' is used nowhere in '{name}': drop it or use it")
        if not self.parameters:
            raise DeclarationError(f"'{name}' has no parameter: declare at least one with st.param")
        for size in self.free_sizes:
            if any(node.operation.label == str(size) for node in self._order if isinstance(node.operation, Leaf)):
                raise DeclarationError(f"'{size}' is a size and a leaf of '{name}': rename one of them")

    @classmethod
    def from_graph(cls, graph: nx.DiGraph, name: str = "parametrization") -> Self:
        """The parametrization that a networkx graph describes, in the form that ``.graph`` has.

        Nodes carry ``operation``, edges carry ``positions`` (which operands they feed). Raises ``DeclarationError``
        for a cycle, for several sinks, for a parameter that is used nowhere, and for attributes that are missing.
        """
        _require_attributes(graph, name)
        import networkx as nx

        try:
            cycle = nx.find_cycle(graph)
        except nx.NetworkXNoCycle:
            pass
        else:
            path = " → ".join([str(edge[0]) for edge in cycle] + [str(cycle[0][0])])
            raise DeclarationError(f"'{name}' has a cycle: {path}; a parametrization is a directed acyclic graph")
        sinks = [node for node in graph if graph.out_degree(node) == 0]
        unused = [node for node in sinks if isinstance(graph.nodes[node]["operation"], Parameter)]
        if unused and len(sinks) > 1:
            raise DeclarationError(f"parameter '{unused[0]}' is used nowhere in '{name}': drop it or use it")
        if len(sinks) != 1:
            listed = f" ({', '.join(map(str, sinks))})" if sinks else ""
            raise DeclarationError(f"'{name}' has {len(sinks)} sinks{listed}: it needs one")
        built: dict[Any, Node] = {}
        for key in nx.topological_sort(graph):
            operands = {
                position: built[source]
                for source, _, positions in graph.in_edges(key, data="positions")
                for position in positions
            }
            if sorted(operands) != list(range(len(operands))):
                raise DeclarationError(
                    f"the edges into '{key}' of '{name}' must carry the positions 0, 1, … of its operands"
                )
            built[key] = Node(graph.nodes[key]["operation"], [operands[index] for index in sorted(operands)])
        return cls(built[sinks[0]], name=name)

    def __repr__(self) -> str:
        leaves = ", ".join(f"{name} {show(shape)}" for name, shape in self.parameters.items())
        return f"{type(self).__name__}({self.name}: {leaves} → {show(self.predictor.shape)})"

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All nodes, operands before results; equal subexpressions occur once."""
        return self._order

    def identifier(self, node: Node) -> str:
        """The key of one of ``nodes`` in ``graph``."""
        return self._ids[node]

    def _leaves(self, kind: type[Leaf]) -> dict[str, Shape]:
        return {node.operation.identifier: node.shape for node in self._order if isinstance(node.operation, kind)}

    @cached_property
    def parameters(self) -> dict[str, Shape]:
        """Name → shape, in the order of first use."""
        return self._leaves(Parameter)

    @cached_property
    def inputs(self) -> dict[str, Shape]:
        return self._leaves(Input)

    @cached_property
    def constants(self) -> dict[str, Shape]:
        return self._leaves(Constant)

    @cached_property
    def free_sizes(self) -> tuple[sp.Symbol, ...]:
        """Sizes that are still symbols, by name."""
        symbols = {symbol for node in self._order for size in node.shape for symbol in size.free_symbols}
        needed = {symbol for node in self._order for symbol in node.operation.needed_sizes()}
        return tuple(sorted(symbols | needed, key=str))

    @cached_property
    def graph(self) -> nx.DiGraph:
        """Nodes carry ``operation`` and ``shape``; edges carry ``positions``, the operands that they feed."""
        import networkx as nx  # here, so that deriving does not wait for it

        graph = nx.DiGraph(name=self.name)
        for node in self._order:
            key = self._ids[node]
            graph.add_node(key, operation=node.operation, shape=node.shape)
            for position, operand in enumerate(node.operands):
                source = self._ids[operand]
                earlier = graph.edges[source, key]["positions"] if graph.has_edge(source, key) else ()
                graph.add_edge(source, key, positions=(*earlier, position))
        return graph

    @cached_property
    def declaration_hash(self) -> str:
        """SHA-256 of operations, shapes and edges, equal for equal declarations whatever the variable names."""
        lines = [
            f"{self._ids[node]} = {node.operation!r} {show(node.shape)} "
            f"({', '.join(self._ids[operand] for operand in node.operands)})"
            for node in self._order
        ]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def fold(self, visit: Callable[[Node, list[T]], T]) -> dict[Node, T]:
        """``visit(node, values of its operands)`` for every node, operands first; the value of each node."""
        values: dict[Node, T] = {}
        for node in self._order:
            values[node] = visit(node, [values[operand] for operand in node.operands])
        return values

    def bind(self, **sizes: int) -> Self:
        """The same graph with sizes; ``DeclarationError`` for an unknown name, ``ShapeError`` for a bad value."""
        known = {str(symbol): symbol for symbol in self.free_sizes}
        unknown = sorted(set(sizes) - set(known))
        if unknown:
            raise DeclarationError(
                f"'{self.name}' has no size '{unknown[0]}': its free sizes are {', '.join(known) or 'none'}"
            )
        values = {known[name]: _as_named_size(name, value) for name, value in sizes.items()}
        bound = self.fold(lambda node, operands: Node(node.operation.bind(values), operands))
        return type(self)(bound[self.predictor], name=self.name)

    def components(self) -> np.ndarray:
        """The predictor in explicit components: an object array of SymPy expressions; needs bound sizes."""
        import numpy as np

        values = self.fold(lambda node, operands: node.operation.components(*operands))
        return np.asarray(values[self.predictor], dtype=object)

    def matrix(self) -> sp.Expr:
        """The predictor as a SymPy matrix expression at symbolic size."""
        values: dict[Node, Any] = self.fold(lambda node, operands: node.operation.matrix(*operands))
        return values[self.predictor]

    @cached_property
    def is_elementwise(self) -> bool:
        """Whether everything acts coordinate by coordinate."""
        try:
            return bool(self.elementwise)
        except CalculusError:
            return False

    @cached_property
    def elementwise(self) -> ElementwiseModel:
        """One coordinate of the predictor; ``CalculusError`` unless everything acts coordinate by coordinate."""
        for node in self._order:
            if isinstance(node.operation, Input | Constant):
                raise CalculusError(
                    f"'{self.name}' is not elementwise: {node.operation.name} '{node.title}' makes coordinates differ"
                )
            if not isinstance(node.operation, Elementwise | Parameter | Number):
                raise CalculusError(
                    f"'{self.name}' is not elementwise: operation '{node.operation.name}' mixes coordinates"
                )
        for name, shape in self.parameters.items():
            if not same_shape(shape, self.predictor.shape):
                raise CalculusError(f"'{self.name}' is not elementwise: '{name}' {show(shape)} is broadcast")
        values = self.fold(lambda node, operands: node.operation.scalar(*operands))
        symbols = tuple(sp.Symbol(name, real=True) for name in self.parameters)
        return ElementwiseModel(symbols, values[self.predictor])

    def differential(self, tangents: Mapping[str, Node]) -> Node | None:
        """Dφ(θ)[ξ] as a node, by the infinitesimal rules of the operations; None when nothing moves the predictor.

        tangents: parameter name → node of the parameter's shape; parameters left out do not move. Raises
        ``DeclarationError`` for a name that is no parameter and ``ShapeError`` for another shape.
        """
        for name, tangent in tangents.items():
            if name not in self.parameters:
                raise DeclarationError(f"'{self.name}' has no parameter '{name}' to move")
            if not same_shape(tangent.shape, self.parameters[name]):
                raise ShapeError(
                    f"tangent {tangent.title} {show(tangent.shape)} of parameter '{name}' must have its shape "
                    f"{show(self.parameters[name])}"
                )

        def visit(node: Node, moved: list[Node | None]) -> Node | None:
            if isinstance(node.operation, Parameter):
                return tangents.get(node.operation.identifier)
            return node.operation.tangent(node.operands, moved, node)

        return self.fold(visit)[self.predictor]

    def require_bound(self) -> None:
        """Raises ``DeclarationError`` naming the first size that is still a symbol."""
        for name, shape in self.parameters.items():
            if not is_bound(shape):
                free = next(iter(sorted(map(str, set().union(*(size.free_symbols for size in shape))))))
                raise DeclarationError(
                    f"size '{free}' of parameter '{name}' {show(shape)} is unbound: call bind({free}=…) first"
                )


def _as_named_size(name: str, value: object) -> Size:
    try:
        return as_size(value)
    except ShapeError as error:
        raise ShapeError(f"bind({name}={value!r}): {error}") from None


def _require_attributes(graph: nx.DiGraph, name: str) -> None:
    import networkx as nx

    if not isinstance(graph, nx.DiGraph):
        raise DeclarationError(f"'{name}' must come from a networkx.DiGraph, not from {type(graph).__name__}")
    for key, operation in graph.nodes(data="operation"):
        if not isinstance(operation, Operation):
            raise DeclarationError(f"node '{key}' of '{name}' carries no 'operation'")
    for source, target, positions in graph.edges(data="positions"):
        if not positions:
            raise DeclarationError(f"edge '{source}' → '{target}' of '{name}' carries no 'positions'")


def _canonical_order(predictor: Node) -> tuple[dict[Node, str], tuple[Node, ...]]:
    """Nodes in topological order with equal subexpressions merged, and an identifier for each."""
    merged: dict[Node, Node] = {}
    representative: dict[tuple[object, ...], Node] = {}
    identifiers: dict[Node, str] = {}
    leaves: dict[str, Leaf] = {}
    counts: dict[str, int] = {}
    stack = [predictor]
    while stack:
        node = stack[-1]
        if node in merged:
            stack.pop()
            continue
        waiting = [operand for operand in reversed(node.operands) if operand not in merged]
        if waiting:
            stack.extend(waiting)
            continue
        stack.pop()
        operands = [merged[operand] for operand in node.operands]
        key = (type(node.operation), node.operation, *(identifiers[operand] for operand in operands))
        if key not in representative:
            fresh = node if operands == list(node.operands) else Node(node.operation, operands)
            representative[key] = fresh
            identifiers[fresh] = _identifier(fresh, leaves, counts)
        merged[node] = representative[key]
    return identifiers, tuple(representative.values())


def _identifier(node: Node, leaves: dict[str, Leaf], counts: dict[str, int]) -> str:
    operation = node.operation
    if not isinstance(operation, Leaf):
        counts[operation.name] = counts.get(operation.name, 0) + 1
        return f"{operation.name}_{counts[operation.name]}"
    other = leaves.setdefault(operation.identifier, operation)
    if other != operation or type(other) is not type(operation):
        raise DeclarationError(
            f"name '{operation.identifier}' is used twice: as {other.name} {show(other.sizes)} "
            f"and as {operation.name} {show(operation.sizes)}"
        )
    return operation.identifier
