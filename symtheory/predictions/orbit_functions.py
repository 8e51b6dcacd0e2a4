"""Torch functions of the smallest weighted norm on an orbit: its value, and the point that attains it."""

from __future__ import annotations

from collections.abc import Mapping

import sympy as sp

from symtheory.codegen.statements import function_source, point_entry
from symtheory.graph.shapes import Shape
from symtheory.predictions.matrix_statements import MatrixStatements
from symtheory.predictions.orbit_minimum import OrbitMinimum


def render_minimum(name: str, minimum: OrbitMinimum, parameters: Mapping[str, Shape], owner: str, summary: str) -> str:
    """Source of ``name(point)``: the minimum over the orbit of a point, summed over all copies of the group."""
    body = _body(minimum, parameters, owner)
    terms = [quantity.value(body) for quantity in minimum.quantities]
    body.return_value(" + ".join(terms))
    returns = "tensor ``(*batch)``."
    arguments, entries = "point: dict[str, Tensor]", [point_entry(parameters)]
    return function_source(f"{name}({arguments})", summary, entries, returns, body.lines, result="Tensor")


def render_minimiser(
    name: str, minimum: OrbitMinimum, parameters: Mapping[str, Shape], owner: str, summary: str
) -> str:
    """Source of ``name(point)``: where the minimum is attained, one of the points that rotations connect."""
    body = _body(minimum, parameters, owner)
    found: dict[str, str] = {}
    for quantity in minimum.quantities:
        found |= quantity.balanced(body)
    gone = [parameter for parameter in parameters if parameter not in found]
    found |= {parameter: f"torch.zeros_like({body.matrix(parameter)})" for parameter in gone}
    body.return_point({parameter: found[parameter] for parameter in parameters})
    returns = "dict with the keys and shapes of point."
    return function_source(f"{name}(point: dict[str, Tensor])", summary, [point_entry(parameters)], returns, body.lines)


def _body(minimum: OrbitMinimum, parameters: Mapping[str, Shape], owner: str) -> MatrixStatements:
    sizes: set[sp.Symbol] = set()
    for quantity in minimum.quantities:
        sizes |= quantity.sizes
    return MatrixStatements(minimum.model, parameters, owner, sizes)
