"""Actions travel from the parameters through the graph to the predictor, where nothing of them may be left."""

from __future__ import annotations

from symtheory.graph.action import Action, ActionSystem
from symtheory.graph.axis_refinement import AxisRefinement
from symtheory.graph.computation_graph import ComputationGraph
from symtheory.graph.node import Node


def propagate(graph: ComputationGraph, refinement: AxisRefinement) -> ActionSystem:
    """The linear system whose solutions are the linear symmetries that the operations of the graph let pass."""
    system = ActionSystem()
    layouts = refinement.layouts

    def visit(node: Node, actions: list[Action]) -> Action:
        operands = [layouts[operand] for operand in node.operands]
        return node.operation.equivariance(system, actions, operands, layouts[node])

    system.forbid(graph.fold(visit)[graph.predictor])
    return system
