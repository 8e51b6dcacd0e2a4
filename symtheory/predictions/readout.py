"""A fixed linear map after a coordinatewise part: w = D c with c_j = φ(θ_j), as in cumsum(u ⊙ v).

Every statement about coordinates holds for c, with the features X D in place of X. Which operations are linear is not
listed anywhere: their own infinitesimal rules tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import sympy as sp

from symtheory.codegen.naming import Names
from symtheory.codegen.predictor import render_predictor
from symtheory.errors import CalculusError
from symtheory.graph.computation_graph import ComputationGraph
from symtheory.graph.node import Node
from symtheory.graph.operations.leaf import Parameter
from symtheory.graph.subgraph import as_text, parameters_below
from symtheory.predictions.equation import equation
from symtheory.predictions.prediction import Prediction
from symtheory.predictions.source_function import SourceFunction
from symtheory.predictions.symbols import PREDICTOR


@dataclass(frozen=True)
class Readout:
    """inner: the graph of the coordinates c = φ(θ), elementwise; outer: w = D c as a graph whose only parameter is c,
    without a constant part; its constants are those that D is made of.
    """

    inner: ComputationGraph
    outer: ComputationGraph

    @property
    def symbol(self) -> str:
        """The name that c has in statements and as a key of the generated readout."""
        return next(iter(self.outer.parameters))

    @property
    def text(self) -> str:
        """D c as one writes it."""
        return as_text(self.outer.predictor)

    def carry(self, prediction: Prediction) -> Prediction:
        """A prediction that was derived for the coordinates, as one for the whole graph.

        Its relations are those of c; its formulas gain ``<mechanism>_coordinates`` (θ ↦ c) and
        ``<mechanism>_readout`` (c ↦ w).
        """
        c = sp.Symbol(self.symbol, real=True)
        mechanism = prediction.mechanism
        coordinates, readout = f"{mechanism}_coordinates", f"{mechanism}_readout"
        relations = [equation(*(side.subs(PREDICTOR, c) for side in relation.args)) for relation in prediction.relations]
        linear = equation(PREDICTOR, sp.Function("D")(c))
        return replace(
            prediction,
            statement=sp.Tuple(*relations, linear),
            formulas={
                **prediction.formulas,
                coordinates: SourceFunction(
                    coordinates,
                    partial(render_predictor, self.inner, coordinates, "The coordinates that the readout maps linearly."),
                ),
                readout: SourceFunction(
                    readout, partial(render_predictor, self.outer, readout, "The predictor from its coordinates.")
                ),
            },
            notes=(
                f"{c} = {as_text(self.inner.predictor)} are the coordinates, and D is the fixed linear map of "
                f"w = {self.text}",
                f"what is said of w holds for {c}, with the features X D in place of X: a sum over coordinates is "
                f"Σ_j F({c}_j) subject to X D {c} = y, that is Σ_j F((D⁻¹w)_j) subject to Xw = y where D is invertible",
                *prediction.notes,
            ),
        )


def find_readout(graph: ComputationGraph) -> Readout | None:
    """The linear map after the last node that is coordinatewise and carries all parameters; None where there is none,
    and for a graph that is coordinatewise itself.
    """
    if graph.inputs or _is_elementwise(graph):
        return None
    for node in _carriers(graph):
        inner = ComputationGraph(node, name=graph.name)
        if not _is_elementwise(inner):
            continue
        outer = _above(graph, node)
        if set(outer.parameters) & set(graph.parameters):
            continue  # parameters reach the predictor past this node
        return Readout(inner, outer) if _is_linear(outer) else None
    return None


def _carriers(graph: ComputationGraph) -> Iterator[Node]:
    """Nodes that depend on all parameters, the predictor first."""
    everything = set(graph.parameters)
    for node in reversed(graph.nodes):
        if node.operands and parameters_below(node) == everything:
            yield node


def _is_elementwise(graph: ComputationGraph) -> bool:
    try:
        return bool(graph.elementwise)
    except CalculusError:
        return False


def _above(graph: ComputationGraph, cut: Node) -> ComputationGraph:
    """The graph with a parameter in place of one of its nodes."""
    taken = {*graph.parameters, *graph.constants, *map(str, graph.free_sizes), str(PREDICTOR), "point"}
    leaf = Node(Parameter(Names(taken).unique("c"), cut.shape))
    return _substituted(graph, lambda node: leaf if node is cut else None)


def _is_linear(outer: ComputationGraph) -> bool:
    """Whether the derivative does not depend on the point, and gives the map back when it is taken along the point."""
    ((name, shape),) = outer.parameters.items()
    velocity = Names({*outer.constants, name, *map(str, outer.free_sizes)}).unique("velocity")
    derivative = outer.differential({name: Node(Parameter(velocity, shape))})
    if derivative is None:
        return False
    moved = ComputationGraph(derivative, name=outer.name)
    if set(moved.parameters) != {velocity}:
        return False
    back = _substituted(
        moved,
        lambda node: Node(Parameter(name, shape)) if node.operation == Parameter(velocity, shape) else None,
    )
    return back.declaration_hash == outer.declaration_hash


def _substituted(graph: ComputationGraph, replacement: Callable[[Node], Node | None]) -> ComputationGraph:
    """The graph with some of its nodes replaced."""
    values = graph.fold(lambda node, operands: replacement(node) or Node(node.operation, operands))
    return ComputationGraph(values[graph.predictor], name=graph.name)
