"""A plain record of everything derived from a declaration: what the command line prints and the report shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import sympy as sp

from symtheory.errors import CalculusError, DerivationError, MetricError
from symtheory.generation import declaration_lines
from symtheory.geometry import ElementwiseGeometry, Geodesic, MatrixGeometry
from symtheory.geometry.matrix.model import MatrixModel
from symtheory.graph.operations.leaf import Leaf
from symtheory.graph.shapes import show
from symtheory.graph.subgraph import as_text
from symtheory.matrix_calculus.polynomial import letter
from symtheory.parametrization import Parametrization
from symtheory.rendering import plain
from symtheory.symmetry.charge import charges_of, momentum_charges
from symtheory.symmetry.factor import Factor
from symtheory.symmetry.translation import Translation

METRICS = ("euclidean", "invariant", "mixed")

Renderer = Callable[[Any], str]
"""How a formula, or a list of them, is written: ``plain``, ``latex`` or ``mathml`` of ``symtheory.rendering``."""


def describe(
    parametrization: Parametrization, render: Renderer = plain, metrics: Sequence[str] = METRICS
) -> dict[str, Any]:
    """Record of the graph, symmetries, geometry and predictions; every formula written by ``render``."""
    record: dict[str, Any] = {
        "name": parametrization.name,
        "formula": as_text(parametrization.predictor),
        "declaration": "\n".join(declaration_lines(parametrization)),
        "graph": graph_record(parametrization),
        "symmetry": _symmetry(parametrization, render),
        "discrete": [str(symmetry) for symmetry in parametrization.symmetries().discrete],
        "lower_bound": list(parametrization.symmetries().lower_bound),
        "dimension": str(parametrization.symmetries().dimension),
    }
    try:
        model = parametrization.model
    except CalculusError:
        record |= _matrix_geometries(parametrization, metrics, render)
    else:
        record["predictor"] = render(sp.Eq(sp.Symbol("w"), model.predictor))
        record["geometry"] = [_geometry(parametrization, metric, render) for metric in metrics]
    predictions = parametrization.predictions()
    record["predictions"] = [
        {
            "mechanism": prediction.mechanism,
            "title": prediction.title,
            "statement": [render(relation) for relation in prediction.relations],
            "assumptions": [{"text": a.text, "checkable": a.checkable} for a in prediction.assumptions],
            "order": prediction.order,
            "measure": prediction.measure,
            "observable": prediction.observable,
            "notes": list(prediction.notes),
            "source": prediction.source,
        }
        for prediction in predictions.values()
    ]
    record["not_applicable"] = [
        {"mechanism": mechanism, "reason": reason} for mechanism, reason in predictions.not_applicable.items()
    ]
    return record


def graph_record(parametrization: Parametrization) -> dict[str, Any]:
    """Nodes (id, label, kind, shape) and edges of the graph, the predictor as an extra sink."""
    nodes = []
    for node in parametrization.nodes:
        kind = node.operation.name if isinstance(node.operation, Leaf) else "operation"
        nodes.append(
            {
                "id": parametrization.identifier(node),
                "label": node.operation.label,
                "kind": kind,
                "shape": show(node.shape),
            }
        )
    edges = [
        [source, target]
        for target, node in ((parametrization.identifier(node), node) for node in parametrization.nodes)
        for source in map(parametrization.identifier, node.operands)
    ]
    sink = parametrization.predictor
    nodes.append({"id": "w", "label": "w", "kind": "output", "shape": show(sink.shape)})
    return {"nodes": nodes, "edges": [*edges, [parametrization.identifier(sink), "w"]]}


def _symmetry(parametrization: Parametrization, render: Renderer) -> list[dict[str, Any]]:
    return [
        {
            "name": factor.name,
            "kind": factor.kind,
            "lives_on": factor.lives_on,
            "dimension": str(factor.dimension),
            "generators": _generators(factor, render),
            "charges": {charge.name: render(charge.value) for charge in charges_of([factor])},
            "weight_decay": {charge.name: render(charge.under_weight_decay) for charge in charges_of([factor])},
            "momentum": {name: render(kept) for name, kept in momentum_charges([factor]).items()},
        }
        for factor in parametrization.symmetries()
    ]


def _generators(factor: Factor, render: Renderer) -> list[str]:
    """The vector fields as formulas; a shift that reaches a bias through a reshape is written as text."""
    try:
        return [_field(generator, render) for generator in factor.generators]
    except CalculusError:
        if not isinstance(factor, Translation):
            raise
        shifted = {factor.parameter: factor.leaf, **factor.compensation}
        return [", ".join(f"delta_{name} = {as_text(node)}" for name, node in shifted.items())]


def _field(generator: dict[str, Any], render: Renderer) -> str:
    """A vector field as δ of each parameter that it moves."""
    return render([sp.Eq(sp.Symbol(f"delta_{name}"), change, evaluate=False) for name, change in generator.items()])


def _geometry(parametrization: Parametrization, metric: str, render: Renderer) -> dict[str, Any]:
    """One metric: matrix, invariance, connection, projection, geodesic; what has no answer says why in ``notes``."""
    notes: list[str] = []
    record: dict[str, Any] = {"metric": metric, "notes": notes}
    try:
        geometry = ElementwiseGeometry(parametrization.model, metric)
    except (MetricError, DerivationError) as error:
        return record | {"matrix": None, "invariant": False, "notes": [str(error)]}
    record["matrix"] = render(geometry.metric)
    record["invariant"] = geometry.is_invariant()
    try:
        record["christoffel"] = _christoffel(geometry, render)
        record["geodesic"] = _geodesic(geometry.geodesic(), render, notes)
        record["geodesic_kind"] = geometry.geodesic().kind
    except MetricError as error:
        notes.append(str(error))
    try:
        record["projection"] = render(geometry.horizontal_projection)
    except MetricError as error:
        notes.append(str(error))
    return record


def _matrix_geometries(parametrization: Parametrization, metrics: Sequence[str], render: Renderer) -> dict[str, Any]:
    """The metrics on matrices; none where the group acts on more than rows and columns, with the reason."""
    try:
        model = parametrization.matrix_model
    except CalculusError as error:
        return {"geometry": [], "no_geometry": str(error)}
    return {"geometry": [_matrix_geometry(model, metric, render) for metric in metrics]}


def _matrix_geometry(model: MatrixModel, metric: str, render: Renderer) -> dict[str, Any]:
    """One metric: trace form, invariance, connection, the equations of the projection, each with its intermediates."""
    notes: list[str] = []
    record: dict[str, Any] = {"metric": metric, "notes": notes}
    try:
        geometry = MatrixGeometry(model, metric)
    except (CalculusError, MetricError) as error:
        return record | {"matrix": None, "invariant": False, "notes": [str(error)]}
    xi = {name: letter(symbol) for name, symbol in geometry.velocity.items()}
    connection = geometry.connection
    record["matrix"] = render(geometry.blocks.inner(xi, xi).expression())
    record["invariant"] = geometry.is_invariant()
    definitions = {**geometry.definitions.values, **connection.definitions.values}
    record["definitions"] = [
        render(sp.Eq(symbol, value.expression(), evaluate=False)) for symbol, value in definitions.items()
    ]
    record["christoffel"] = [
        render(sp.Eq(sp.Symbol(f"Gamma_{name}"), value.expression(), evaluate=False))
        for name, value in connection.values.items()
        if value
    ] or [render(sp.Eq(sp.Symbol("Gamma"), 0, evaluate=False))]
    try:
        record["equations"] = [
            render(sp.Eq(part.gram_of_element(), part.moment.expression(), evaluate=False))
            for part in geometry.vertical_space.parts
        ]
    except MetricError as error:
        notes.append(str(error))
    if len(record.get("equations", [])) > 1 and geometry.vertical_space.coupled:
        pairs = ", ".join(f"{first} and {second}" for first, second in geometry.vertical_space.coupled)
        notes.append(f"these fields are not orthogonal: {pairs}; their equations are solved together")
    if geometry.blocks.is_straightened and model.straightening:
        notes.append(_straightening_note(geometry))
    return record


def _straightening_note(geometry: MatrixGeometry) -> str:
    try:
        changed = ", ".join(f"{name} := {value}" for name, value in geometry.straightened.items())
    except CalculusError:
        changed = "biases that make up for shifts replaced by the total bias they amount to"
    return f"in the coordinates {changed}"


def _christoffel(geometry: ElementwiseGeometry, render: Renderer) -> list[str]:
    """Γ^i_kl with the contravariant index first, those that do not vanish."""
    names = [str(symbol) for symbol in geometry.coordinates]
    return [
        render(sp.Eq(sp.Symbol(f"Gamma__{names[i]}_{names[k]} {names[l]}"), value, evaluate=False))
        for (i, k, l), value in geometry.christoffel().items()
    ] or [render(sp.Eq(sp.Symbol("Gamma"), 0, evaluate=False))]


def _geodesic(geodesic: Geodesic, render: Renderer, notes: list[str]) -> list[str]:
    if geodesic.closed_form is None:
        notes.append(geodesic.reason)
        return []
    curves = [
        render(sp.Eq(sp.Function(str(symbol))(geodesic.time), curve, evaluate=False))
        for symbol, curve in geodesic.closed_form.items()
    ]
    return curves + [render(sp.Eq(rate, value, evaluate=False)) for rate, value in geodesic.rates.items()]
