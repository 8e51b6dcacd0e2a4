"""Everything that a declaration yields, assembled into one generated torch module."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from symtheory.codegen.generated_module import GeneratedModule
from symtheory.codegen.helpers import helpers_called
from symtheory.codegen.predictor import render_predictor
from symtheory.codegen.pullback import render_pullback
from symtheory.errors import CalculusError, CodegenError, SingularMetricError
from symtheory.generation.assembly import GEOMETRY, Assembly, GeometrySources
from symtheory.generation.geometry_functions import GeometryFunctions
from symtheory.generation.group_functions import render_act, render_compose, render_conserved, render_inverse
from symtheory.generation.header import render_header
from symtheory.generation.keep_only import keep_only
from symtheory.generation.matrix_functions import MatrixFunctions
from symtheory.generation.matrix_setting import MatrixSetting
from symtheory.generation.pullback_functions import PullbackFunctions
from symtheory.geometry import MatrixGeometry
from symtheory.geometry.pullback_geometry import PullbackGeometry
from symtheory.parametrization import Parametrization
from symtheory.predictions.orbit_volume_matrices import render_gauge_correction

if TYPE_CHECKING:
    from symtheory.geometry import MetricFamily


def generate(
    parametrization: Parametrization, metric: str | MetricFamily = "mixed", *, only: Collection[str] | None = None
) -> GeneratedModule:
    """A module of plain torch functions for a declaration.

    Holds ``predictor``, ``value_and_pullback``, ``act``, ``inverse``, ``compose`` and ``conserved``, the formulas
    of every prediction, and the geometry of the metric: ``check_domain``, ``inner``, ``norm``, ``flat``, ``sharp``,
    ``vertical``, ``project_horizontal``, ``christoffel_form``, ``geodesic``, ``riemannian_hessian`` and
    ``hessian_trace``; for coordinatewise graphs also ``exponential`` and ``logarithm``; and the orbit-volume term
    ``gauge_correction``. What cannot be generated is listed with its reason in the header and in ``.omitted``.
    only: names of functions to keep, with what they call; all, if None. Raises ``MetricError`` for a metric that is
    unknown or does not fit, and ``CodegenError`` for a name that cannot stand in source text, or for a name in only
    that there is no function of.
    """
    label: str | None = metric if isinstance(metric, str) else metric.name
    for name in (parametrization.name, label):
        _require_plain(str(name))
    assembly = Assembly({"predictor": render_predictor(parametrization)})
    assembly.attempt("value_and_pullback", lambda: render_pullback(parametrization))
    assembly.attempt("act", lambda: render_act(parametrization))
    assembly.attempt("inverse", lambda: render_inverse(parametrization))
    assembly.attempt("compose", lambda: render_compose(parametrization))
    assembly.attempt("conserved", lambda: render_conserved(parametrization))
    try:
        assembly.attempt_all(_geometry_sources(parametrization, metric))
    except (CalculusError, SingularMetricError) as error:
        label = None
        assembly.omitted |= dict.fromkeys(GEOMETRY, str(error))
    if not parametrization.is_elementwise:  # of coordinates it is one of the geometry's functions
        assembly.attempt("gauge_correction", lambda: render_gauge_correction(parametrization.subject))
    if only is None or not set(only) <= assembly.sources.keys() | assembly.omitted.keys():
        _attempt_predictions(assembly, parametrization)
    if only is not None:
        keep_only(assembly, only, parametrization.name)
    omitted = assembly.omitted
    sources = helpers_called(assembly.sources) | assembly.sources
    text = "\n\n".join([render_header(parametrization, label, sources, omitted), *sources.values()])
    return GeneratedModule(parametrization.name, text, omitted)


def _attempt_predictions(assembly: Assembly, parametrization: Parametrization) -> None:
    predictions = parametrization.predictions()
    for prediction in predictions.values():
        for function in prediction.torch_functions():
            assembly.attempt(function.name, function.render)
    assembly.omitted |= predictions.not_applicable


def _geometry_sources(parametrization: Parametrization, metric: str | MetricFamily) -> GeometrySources:
    geometry = parametrization.geometry(metric)
    if isinstance(geometry, PullbackGeometry):
        return PullbackFunctions(parametrization, geometry)
    if isinstance(geometry, MatrixGeometry):
        return MatrixFunctions(MatrixSetting(parametrization, geometry))
    return GeometryFunctions(parametrization, geometry)


def _require_plain(name: str) -> None:
    """Names go into docstrings and messages of the generated code as they are."""
    if not name.isprintable() or set(name) & set('"\\{}'):
        raise CodegenError(f"the name {name!r} cannot stand in source text: leave out quotes, backslashes and braces")
