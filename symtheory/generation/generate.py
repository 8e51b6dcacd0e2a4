"""Everything that a declaration yields, assembled into one generated torch module."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Any

import sympy as sp

from symtheory.codegen.arguments import DictArgument
from symtheory.codegen.function import TorchFunction
from symtheory.codegen.generated_module import GeneratedModule
from symtheory.codegen.predictor import render_predictor
from symtheory.errors import CalculusError, CodegenError, DerivationError, MetricError
from symtheory.generation.geometry_functions import GeometryFunctions
from symtheory.generation.header import render_header
from symtheory.graph.shapes import Shape
from symtheory.parametrization import Parametrization
from symtheory.predictions.predictions import MECHANISMS
from symtheory.symmetry.coordinatewise_group import CoordinatewiseGroup
from symtheory.symmetry.element_names import element_names

if TYPE_CHECKING:
    from symtheory.geometry import MetricFamily

REFUSALS = (CalculusError, CodegenError, DerivationError, MetricError)
"""Reasons for which one function is left out of a module and named in its header."""

GEOMETRY = (
    "check_domain",
    "inner",
    "norm",
    "vertical",
    "project_horizontal",
    "christoffel_form",
    "geodesic",
    "gauge_correction",
)


def generate(parametrization: Parametrization, metric: str | MetricFamily = "mixed") -> GeneratedModule:
    """A module of plain torch functions for a declaration.

    Holds ``predictor``, ``act`` and ``conserved``; for coordinatewise graphs also ``inner``, ``norm``, ``vertical``,
    ``project_horizontal``, ``christoffel_form``, ``geodesic``, ``gauge_correction`` and ``check_domain`` in the given
    metric, and the formulas of every prediction. What cannot be generated is listed with its reason in the header
    and in ``.omitted``. Raises ``MetricError`` for a metric that is unknown or does not fit.
    """
    assembly = _Assembly({"predictor": render_predictor(parametrization)}, {})
    assembly.attempt("act", lambda: _act(parametrization))
    assembly.attempt("conserved", lambda: _conserved(parametrization))
    label: str | None = metric if isinstance(metric, str) else metric.name
    try:
        geometry = parametrization.geometry(metric)
    except CalculusError as error:
        label = None
        assembly.omitted |= dict.fromkeys((*GEOMETRY, *MECHANISMS), str(error))
    else:
        functions = GeometryFunctions(parametrization, geometry)
        for name in GEOMETRY:
            assembly.attempt(name, getattr(functions, name))
        for prediction in parametrization.predictions().values():
            for function in prediction.torch_functions():
                assembly.attempt(function.name, function.render)
        assembly.omitted |= parametrization.predictions().not_applicable
    sources, omitted = assembly.sources, assembly.omitted
    text = "\n\n".join([render_header(parametrization, label, sources, omitted), *sources.values()])
    return GeneratedModule(parametrization.name, text, omitted)


ELEMENTS = {
    "GL": "an invertible matrix",
    "O": "an orthogonal matrix",
    "rescaling": "a diagonal matrix with positive entries",
    "scaling": "a positive number",
}
"""Kind of a group that acts on whole parameters → what its elements are."""


class _Assembly:
    """Sources that could be made, by name, and the reasons for those that could not."""

    def __init__(self, sources: dict[str, str], omitted: dict[str, str]) -> None:
        self.sources = sources
        self.omitted = omitted

    def attempt(self, name: str, make: Callable[[], str | dict[str, str]]) -> None:
        try:
            made = make()
        except REFUSALS as error:
            self.omitted[name] = str(error)
        else:
            self.sources.update(made if isinstance(made, dict) else {name: made})


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


def _conserved(parametrization: Parametrization) -> str:
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


def _act(parametrization: Parametrization) -> str:
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
            symbols = [sp.Symbol(f"g_{name}", real=True) for name in names]
            elements |= dict(zip(names, symbols, strict=True))
            shapes |= dict.fromkeys(names, next(iter(factor.shapes.values())))
            moved = factor.act(tuple(symbols), moved)
            meanings[", ".join(names)] = "Lie algebra coordinates, 0 is the identity"
        else:
            elements[factor.name] = _named_element(factor.element, f"g_{factor.name}")
            moved = factor.act(elements[factor.name], moved)
            meanings[factor.name] = ELEMENTS[factor.kind]
    return TorchFunction(
        "act",
        (point, DictArgument("g", elements, shapes, _join(meanings))),
        moved,
        "The point moved by a group element; the predictor stays as it is.",
        returns="dict with the keys and shapes of point.",
    ).render()


def _join(meanings: dict[str, str]) -> str:
    """The only meaning, or all of them with their names."""
    several = [f"{name}: {meaning}" for name, meaning in meanings.items()]
    return "; ".join(several if len(several) > 1 else meanings.values())


def _named_element(element: Any, name: str) -> Any:
    if isinstance(element, sp.MatrixSymbol):
        return sp.MatrixSymbol(name, *element.shape)
    return sp.Symbol(name, positive=True)
