"""The torch function ``vertical`` of a geometry of matrices: the infinitesimal action of the whole group."""

from __future__ import annotations

from typing import Any

from symtheory.codegen.docstring import shape_text
from symtheory.codegen.matrix_program import MatrixProgram
from symtheory.codegen.node_source import node_source
from symtheory.codegen.statements import Statements, function_source, point_entry, point_tensors
from symtheory.codegen.view_source import from_matrices, split_sizes, to_matrices
from symtheory.errors import DerivationError
from symtheory.geometry.matrix.model import MatrixModel
from symtheory.graph.subgraph import nodes_below
from symtheory.matrix_calculus.polynomial import Polynomial, letter
from symtheory.parametrization import Parametrization
from symtheory.symmetry.translation import Translation


def render_vertical(parametrization: Parametrization, model: MatrixModel) -> str:
    """Source of ``vertical(point, algebra)``. Raises ``DerivationError`` where there is no continuous symmetry."""
    if not model.factors:
        raise DerivationError("there is no continuous symmetry, so nothing is vertical")
    parameters = parametrization.parameters
    body = Statements(("point", "algebra"), parametrization.free_sizes)
    shifts = [factor for factor in model.factors.values() if isinstance(factor, Translation)]
    needed = {s for view in model.views.values() for s in split_sizes(view)}
    for shift in shifts:
        for root in shift.compensation.values():
            needed |= {size for node in nodes_below(root) for size in node.operation.needed_sizes()}
    body.read_sizes(needed, point_tensors(parameters), parametrization.name)
    terms = _linear_terms(model, body)
    for shift in shifts:
        t = body.assign(body.names.unique(f"t_{shift.name}"), f'algebra["{shift.name}"]')
        own = body.read(shift.parameter)
        terms.setdefault(shift.parameter, []).append(
            f"{t}.expand_as({own})" if shift.axes != tuple(range(len(parameters[shift.parameter]))) else t
        )
        for name, node in shift.compensation.items():
            terms.setdefault(name, []).append(node_source(node, body, shift.leaf, t))
    results = {
        name: " + ".join(terms[name]) if name in terms else f"torch.zeros_like({body.read(name)})"
        for name in parameters
    }
    body.return_entries(results)
    entries = [f'"{factor.name}" {shape_text(factor.element_shape)}' for factor in model.factors.values()]
    return function_source(
        "vertical(point: dict[str, Tensor], algebra: dict[str, Tensor])",
        "Infinitesimal action of a Lie algebra element: the tangent of the orbit.",
        [point_entry(parameters), f"algebra: dict with {', '.join(entries)}."],
        "dict with the keys and shapes of point.",
        body.lines,
    )


def _linear_terms(model: MatrixModel, body: Statements) -> dict[str, list[str]]:
    point = {name: letter(symbol) for name, symbol in model.symbols.items()}
    elements: dict[str, Any] = {}
    fields: dict[str, Polynomial] = {}
    for factor in model.linear_factors():
        elements[factor.name] = model.element(factor)
        for name, change in model.field(factor, point).items():
            fields[name] = fields[name] + change if name in fields else change
    variables: dict[Any, str] = {}
    for name in fields:
        source = to_matrices(model.views[name], body.read(name))
        plain = source == body.read(name)
        variables[model.symbols[name]] = source if plain else body.assign(body.names.unique(f"matrix_{name}"), source)
    for name, element in elements.items():
        variables[element] = body.assign(body.names.unique(str(element)), f'algebra["{name}"]')
    program = MatrixProgram(body, variables)
    program.expect(fields.values())
    terms = {}
    for name, change in fields.items():
        view, source = model.views[name], program.source(change)
        if not view.is_plain:
            source = body.assign(body.names.unique(f"change_{name}"), source)
        terms[name] = [from_matrices(view, source, body.read(name))]
    return terms
