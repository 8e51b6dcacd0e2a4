"""The torch functions of a symmetry group: its action and its charges."""

from __future__ import annotations

from itertools import islice
from typing import Any

import sympy as sp

from symtheory.codegen.arguments import DictArgument
from symtheory.codegen.function import TorchFunction
from symtheory.errors import DerivationError
from symtheory.graph.shapes import Shape
from symtheory.graph.symbol_names import free_name
from symtheory.parametrization import Parametrization
from symtheory.symmetry.coordinatewise_group import CoordinatewiseGroup
from symtheory.symmetry.element_names import element_names

ELEMENTS = {
    "GL": "an invertible matrix",
    "O": "an orthogonal matrix",
    "rescaling": "a diagonal matrix with positive entries",
    "scaling": "a positive number",
}
"""Kind of a group that acts on whole parameters → what its elements are."""


def render_act(parametrization: Parametrization) -> str:
    """Source of ``act(point, g)``: the symmetry group acting on a point.

    Raises ``DerivationError`` when there is no continuous linear symmetry.
    """
    group = parametrization.symmetries()
    if len(group) == 0:
        raise DerivationError("no continuous linear symmetry was found")
    point, moved = _points(parametrization)
    elements: dict[str, Any] = {}
    shapes: dict[str, Shape] = {}
    meanings: dict[str, str] = {}
    remaining = iter(element_names(group))
    for factor in group:
        if isinstance(factor, CoordinatewiseGroup):
            names = list(islice(remaining, len(factor.matrices)))
            symbols = [sp.Symbol(free_name(f"g_{name}", parametrization.parameters), real=True) for name in names]
            elements |= dict(zip(names, symbols, strict=True))
            shapes |= dict.fromkeys(names, next(iter(factor.shapes.values())))
            moved = factor.act(tuple(symbols), moved)
            meanings[", ".join(names)] = "Lie algebra coordinates, 0 is the identity"
        else:
            own = free_name(f"g_{factor.name}", parametrization.parameters)
            elements[factor.name] = _named_element(factor.element, own)
            moved = factor.act(elements[factor.name], moved)
            meanings[factor.name] = ELEMENTS[factor.kind]
    return TorchFunction(
        "act",
        (point, DictArgument("g", elements, shapes, _join(meanings))),
        moved,
        "The point moved by a group element; the predictor stays as it is.",
        returns="dict with the keys and shapes of point.",
    ).render()


def render_conserved(parametrization: Parametrization) -> str:
    """Source of ``conserved(point)``: the charges of gradient flow, by name.

    Raises ``DerivationError`` when there is none.
    """
    charges = {name: _printable(charge) for name, charge in parametrization.conserved().items()}
    if not charges:
        raise DerivationError("no generator is symmetric, so gradient flow conserves nothing of this kind")
    point, _ = _points(parametrization)
    summary = "Conserved quantities of gradient flow, by name."
    return TorchFunction("conserved", (point,), charges, summary, source="Kunin et al. 2020 (2012.04728)").render()


def _printable(charge: Any) -> Any:
    """A matrix of which the diagonal alone is kept, as a product that torch has."""
    if isinstance(charge, sp.DiagonalMatrix):
        return sp.HadamardProduct(sp.Identity(charge.rows), charge.arg)
    return charge


def _points(parametrization: Parametrization) -> tuple[DictArgument, dict[str, Any]]:
    """The argument ``point``, and the symbol of every parameter: scalars coordinatewise, matrices otherwise."""
    if _is_coordinatewise(parametrization):
        symbols: dict[str, Any] = {name: sp.Symbol(name, real=True) for name in parametrization.parameters}
    else:
        symbols = {
            node.operation.label: node.operation.matrix()
            for node in parametrization.nodes
            if node.operation.label in parametrization.parameters
        }
    return DictArgument("point", symbols, dict(parametrization.parameters)), symbols


def _is_coordinatewise(parametrization: Parametrization) -> bool:
    factors = parametrization.symmetries()
    return len(factors) > 0 and all(isinstance(factor, CoordinatewiseGroup) for factor in factors)


def _join(meanings: dict[str, str]) -> str:
    """The only meaning, or all of them with their names."""
    several = [f"{name}: {meaning}" for name, meaning in meanings.items()]
    return "; ".join(several if len(several) > 1 else meanings.values())


def _named_element(element: Any, name: str) -> Any:
    if isinstance(element, sp.MatrixSymbol):
        return sp.MatrixSymbol(name, *element.shape)
    return sp.Symbol(name, positive=True)
