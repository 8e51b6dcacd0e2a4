"""A node made of parameters and constants as torch statements, for functions that are no predictor."""

from __future__ import annotations

from symtheory.codegen.statements import Statements
from symtheory.graph.node import Node
from symtheory.graph.operations.leaf import Constant, Parameter


def node_source(root: Node, body: Statements, leaf: Node, value: str) -> str:
    """Source of a node whose ``leaf`` is held by the variable ``value``; parameters are read through the body."""
    if root.operation == leaf.operation:
        return value
    if isinstance(root.operation, Constant):
        return str(root.operation.identifier)
    if isinstance(root.operation, Parameter):
        return body.read(root.operation.identifier)
    operands = [node_source(operand, body, leaf, value) for operand in root.operands]
    source = root.operation.torch(operands, [operand.shape for operand in root.operands])
    if not operands:
        return source
    return body.assign(body.names.unique(f"shifted_{root.operation.name}"), source)
