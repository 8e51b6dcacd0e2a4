"""A fixed linear map after a coordinatewise part: w = D c with c_j = φ(θ_j), as in cumsum(u ⊙ v).

Every statement about coordinates holds for c, with the features X D in place of X. Which operations are linear is not
listed anywhere: their own infinitesimal rules tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial

import sympy as sp

from symtheory.codegen.naming import Names
from symtheory.codegen.predictor import render_predictor
from symtheory.errors import DerivationError
from symtheory.graph.computation_graph import ComputationGraph
from symtheory.graph.node import Node
from symtheory.graph.operations.leaf import Parameter
from symtheory.graph.subgraph import as_text, parameters_below
from symtheory.predictions.equation import equation
from symtheory.predictions.prediction import Prediction
from symtheory.predictions.source_function import SourceFunction
from symtheory.predictions.symbols import PREDICTOR

KEY = "coordinates"
"""What c is called in the generated readout."""


@dataclass(frozen=True)
class Readout:
    """inner: the graph of the coordinates c = φ(θ), elementwise; outer: w = D c as a graph whose only parameter, named
    ``KEY``, is c; its constants are those that D is made of.
    """

    inner: ComputationGraph
    outer: ComputationGraph

    @cached_property
    def symbol(self) -> sp.Symbol:
        """What stands for a coordinate in statements: c where that is free."""
        taken = {*self.inner.parameters, *self.outer.constants, *map(str, self.inner.free_sizes), str(PREDICTOR)}
        return sp.Symbol(Names(taken).unique("c"), real=True)

    @property
    def text(self) -> str:
        """D c as one writes it."""
        return as_text(_renamed(self.outer, KEY, str(self.symbol)).predictor)

    def carry(self, prediction: Prediction) -> Prediction:
        """A prediction that was derived for the coordinates, as one for the whole graph.

        Its relations are those of c; its formulas gain ``<mechanism>_coordinates`` (θ ↦ c) and
        ``<mechanism>_readout`` (c ↦ w).
        """
        c = self.symbol
        mechanism = prediction.mechanism
        coordinates, readout = f"{mechanism}_coordinates", f"{mechanism}_readout"
        relations = [
            equation(*(side.subs(PREDICTOR, c) for side in relation.args)) for relation in prediction.relations
        ]
        linear = equation(PREDICTOR, sp.Function("D")(c))
        return replace(
            prediction,
            statement=sp.Tuple(*relations, linear),
            formulas={
                **prediction.formulas,
                coordinates: SourceFunction(
                    coordinates,
                    partial(
                        render_predictor, self.inner, coordinates, "The coordinates that the readout maps linearly."
                    ),
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
    and for a graph that is coordinatewise itself. ``DerivationError`` for a leaf that is called as the argument is.
    """
    if graph.inputs or graph.is_elementwise:
        return None
    for node in _carriers(graph):
        inner = ComputationGraph(node, name=graph.name)
        if not inner.is_elementwise:
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


def _above(graph: ComputationGraph, cut: Node) -> ComputationGraph:
    """The graph with a parameter in place of one of its nodes."""
    if KEY in {*graph.parameters, *graph.constants, *map(str, graph.free_sizes)}:
        raise DerivationError(
            f"'{KEY}' is what the argument of the linear readout is called: rename it in '{graph.name}'"
        )
    leaf = Node(Parameter(KEY, cut.shape))
    return _substituted(graph, lambda node: leaf if node is cut else None)


def _is_linear(outer: ComputationGraph) -> bool:
    """Whether the derivative does not depend on the point, and gives the map back when it is taken along the point."""
    velocity = Names({*outer.constants, KEY, *map(str, outer.free_sizes)}).unique("velocity")
    derivative = outer.differential({KEY: Node(Parameter(velocity, outer.parameters[KEY]))})
    if derivative is None:
        return False
    moved = ComputationGraph(derivative, name=outer.name)
    return set(moved.parameters) == {velocity} and (
        _renamed(moved, velocity, KEY).declaration_hash == outer.declaration_hash
    )


def _renamed(graph: ComputationGraph, old: str, new: str) -> ComputationGraph:
    """The graph with another name for one of its parameters."""
    leaf = Parameter(old, graph.parameters[old])
    return _substituted(graph, lambda node: Node(replace(leaf, identifier=new)) if node.operation == leaf else None)


def _substituted(graph: ComputationGraph, replacement: Callable[[Node], Node | None]) -> ComputationGraph:
    """The graph with some of its nodes replaced."""
    values = graph.fold(lambda node, operands: replacement(node) or Node(node.operation, operands))
    return ComputationGraph(values[graph.predictor], name=graph.name)
