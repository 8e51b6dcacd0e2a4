"""Everything that a declaration yields, assembled into one generated torch module."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from symtheory.codegen.generated_module import GeneratedModule
from symtheory.codegen.predictor import render_predictor
from symtheory.errors import CalculusError, CodegenError, DerivationError, MetricError
from symtheory.generation.geometry_functions import GeometryFunctions
from symtheory.generation.group_functions import render_act, render_compose, render_conserved, render_inverse
from symtheory.generation.header import render_header
from symtheory.parametrization import Parametrization

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

    Holds ``predictor``, ``act``, ``inverse``, ``compose`` and ``conserved``, and the formulas of every prediction; for
    coordinatewise graphs also ``inner``, ``norm``, ``vertical``, ``project_horizontal``, ``christoffel_form``,
    ``geodesic``, ``gauge_correction`` and ``check_domain`` in the given metric. What cannot be generated is listed with
    its reason in the header and in ``.omitted``. Raises ``MetricError`` for a metric that is unknown or does not fit,
    and ``CodegenError`` for a name that cannot stand in source text.
    """
    label: str | None = metric if isinstance(metric, str) else metric.name
    for name in (parametrization.name, label):
        _require_plain(str(name))
    assembly = _Assembly({"predictor": render_predictor(parametrization)}, {})
    assembly.attempt("act", lambda: render_act(parametrization))
    assembly.attempt("inverse", lambda: render_inverse(parametrization))
    assembly.attempt("compose", lambda: render_compose(parametrization))
    assembly.attempt("conserved", lambda: render_conserved(parametrization))
    try:
        geometry = parametrization.geometry(metric)
    except CalculusError as error:
        label = None
        assembly.omitted |= dict.fromkeys(GEOMETRY, str(error))
    else:
        functions = GeometryFunctions(parametrization, geometry)
        for name in GEOMETRY:
            assembly.attempt(name, getattr(functions, name))
    predictions = parametrization.predictions()
    for prediction in predictions.values():
        for function in prediction.torch_functions():
            assembly.attempt(function.name, function.render)
    assembly.omitted |= predictions.not_applicable
    sources, omitted = assembly.sources, assembly.omitted
    text = "\n\n".join([render_header(parametrization, label, sources, omitted), *sources.values()])
    return GeneratedModule(parametrization.name, text, omitted)


def _require_plain(name: str) -> None:
    """Names go into docstrings and messages of the generated code as they are."""
    if not name.isprintable() or set(name) & set('"\\{}'):
        raise CodegenError(f"the name {name!r} cannot stand in source text: leave out quotes, backslashes and braces")


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
