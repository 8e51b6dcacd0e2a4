"""The parameters of a graph with their axes split into places: the unknowns at them, and sites from solutions."""

from __future__ import annotations

import sympy as sp

from symtheory.graph.action import ActionSystem, Kind, Unknown
from symtheory.graph.axis_refinement import AxisRefinement
from symtheory.graph.computation_graph import ComputationGraph
from symtheory.graph.layout import Layout
from symtheory.graph.operations.leaf import Parameter
from symtheory.graph.shapes import Shape
from symtheory.symmetry.site import Site

Solution = dict[Unknown, sp.Rational]
"""Unknowns that move together, each with its exponent."""


class ParameterPlaces:
    """The parameters of a graph with their axes split into places."""

    def __init__(self, graph: ComputationGraph, refinement: AxisRefinement) -> None:
        self.graph, self.refinement = graph, refinement
        self.nodes = {node.operation.identifier: node for node in graph.nodes if isinstance(node.operation, Parameter)}
        self.layouts: dict[str, Layout] = {name: refinement.layouts[self.nodes[name]] for name in graph.parameters}

    def unknowns(self, kind: Kind) -> list[Unknown]:
        """All unknowns of a kind, those of few indices last."""
        found: list[Unknown] = []
        for name, layout in self.layouts.items():
            action = Parameter(name, layout.shape).equivariance(ActionSystem(), (), (), layout)
            found += [Unknown(name, slot) for slot in action if slot.kind is kind]
        return sorted(found, key=lambda unknown: -len(unknown.slot.varies))

    def sites(self, solution: Solution, sign: int = 1) -> tuple[Site, ...]:
        """Where each unknown acts, the places it varies over in an order common to all."""
        copies = self.refinement.in_common_order([(self.nodes[own.parameter], own.slot.varies) for own in solution])
        return tuple(
            Site(own.parameter, self.layouts[own.parameter], places, sign * exponent, own.slot.place)
            for (own, exponent), places in zip(solution.items(), copies, strict=True)
        )

    def shapes(self, solution: Solution) -> dict[str, Shape]:
        names = {unknown.parameter for unknown in solution}
        return {name: shape for name, shape in self.graph.parameters.items() if name in names}

    def in_order(self, solution: Solution) -> Solution:
        """The same solution in the order of the parameters and their places."""
        names = list(self.layouts)

        def key(unknown: Unknown) -> tuple[int, int]:
            slot = unknown.slot
            place = slot.place if slot.place is not None else min(slot.varies, default=0)
            return names.index(unknown.parameter), place

        return {unknown: solution[unknown] for unknown in sorted(solution, key=key)}
