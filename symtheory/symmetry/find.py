"""From the solutions of the propagated system to named group factors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import sympy as sp

from symtheory.errors import CalculusError
from symtheory.graph.action import ActionSystem, Form, Unknown
from symtheory.graph.computation_graph import ComputationGraph
from symtheory.graph.elementwise import ElementwiseModel
from symtheory.symmetry.coordinatewise_algebra import annihilating_matrices, has_independent_partials
from symtheory.symmetry.coordinatewise_group import CoordinatewiseGroup
from symtheory.symmetry.edge_group import EdgeGroup
from symtheory.symmetry.factor import Factor
from symtheory.symmetry.group import SymmetryGroup
from symtheory.symmetry.mixing import mixing_reasons
from symtheory.symmetry.propagation import propagate
from symtheory.symmetry.scaling import Scaling
from symtheory.symmetry.solutions import connected_unknowns, is_in_span, solve_forms


def find_symmetries(graph: ComputationGraph) -> SymmetryGroup:
    """The connected group of linear changes of the parameters that leave the predictor as it is.

    Changes of basis come from propagation; on a coordinatewise polynomial the linear fields of one coordinate are
    solved for exactly besides, which adds those that mix parameters (u² − v² is preserved by hyperbolic rotations).
    """
    system = propagate(graph)
    try:
        model = graph.elementwise
    except CalculusError:
        factors = _axis_and_scale_factors(graph, system)
        reasons = [*system.blocked_by, *mixing_reasons(graph)]
    else:
        factors, reasons = _factors_of_one_coordinate(graph, model, system)
    return SymmetryGroup(tuple(_named(factors)), tuple(dict.fromkeys(reasons)))


def _factors_of_one_coordinate(
    graph: ComputationGraph, model: ElementwiseModel, system: ActionSystem
) -> tuple[list[Factor], list[str]]:
    """A rescaling along an axis acts on each coordinate by itself: all factors are coordinatewise."""
    unknowns: list[Unknown] = [(name, None) for name in graph.parameters]
    matrices = tuple(_diagonal(form, unknowns) for form in solve_forms(system.diagonal_equations, unknowns))
    exact = annihilating_matrices(model)
    if exact is None:
        reasons = [*system.blocked_by, *mixing_reasons(graph)]
    else:
        matrices = exact if len(exact) > len(matrices) else matrices
        reasons = [] if has_independent_partials(model) else ["dependent partials (fields that mix coordinates)"]
    if not matrices:
        return [], reasons
    quadratic = exact is not None and sp.Poly(model.predictor, *model.coordinates).total_degree() == 2
    return [CoordinatewiseGroup("", dict(graph.parameters), matrices, quadratic)], reasons


def _axis_and_scale_factors(graph: ComputationGraph, system: ActionSystem) -> list[Factor]:
    solutions = solve_forms(system.diagonal_equations, [(name, None) for name in graph.parameters])
    factors: list[Factor] = [
        CoordinatewiseGroup("", {name: graph.parameters[name] for name, _ in form}, (_diagonal(form, list(form)),))
        for form in solutions
    ]
    factors += _edge_groups(
        graph, system, [{name: exponent for (name, _), exponent in form.items()} for form in solutions]
    )
    return factors + _scalings(graph, system, factors)


def _diagonal(form: Form, unknowns: Sequence[Unknown]) -> sp.ImmutableMatrix:
    return sp.ImmutableMatrix(sp.diag(*(form.get(unknown, sp.Integer(0)) for unknown in unknowns)))


def _edge_groups(
    graph: ComputationGraph, system: ActionSystem, coordinatewise: Sequence[Mapping[str, sp.Rational]]
) -> list[Factor]:
    """Changes of basis along axes, without the rescalings that coordinatewise factors contain already."""
    unknowns: list[Unknown] = [(name, axis) for name, shape in graph.parameters.items() for axis in range(len(shape))]
    factors: list[Factor] = []
    for group in connected_unknowns(system.axis_equations, unknowns):
        equations = [form for form in system.axis_equations if set(form) <= set(group)]
        found = _rescalings_along(group, coordinatewise)
        for kind, form in _solve_component(group, equations, system):
            vector = [form.get(unknown, sp.Integer(0)) for unknown in group]
            factor = _edge_factor(graph, kind, form)
            if (kind == "rescaling" or factor.size == 1) and is_in_span(vector, found):
                continue
            found.append(vector)
            factors.append(factor)
    return factors


def _rescalings_along(
    group: Sequence[Unknown], coordinatewise: Sequence[Mapping[str, sp.Rational]]
) -> list[list[sp.Rational]]:
    """Coordinatewise rescalings of parameters that each have one axis in the group, as vectors over the group."""
    names = [name for name, _ in group]
    return [
        [exponents.get(name, sp.Integer(0)) for name in names]
        for exponents in coordinatewise
        if all(names.count(name) == 1 for name in exponents)
    ]


def _solve_component(
    group: Sequence[Unknown], equations: Sequence[Form], system: ActionSystem
) -> list[tuple[str, Form]]:
    """Which matrices may act on the axes of a connected set of unknowns: kind and exponents of each solution."""
    diagonal = any(unknown in system.diagonal_axes for unknown in group)
    orthogonal = any(unknown in system.orthogonal_axes for unknown in group)
    # Two axes that meet are contragredient or equal: an orthogonal matrix is both, and {A: 2} reads A = −Aᵀ, the
    # contraction of a tensor with itself.
    paired = all(len(form) == 2 and all(abs(c) == 1 for c in form.values()) for form in equations)
    self_dual = all(
        abs(c) == (2 if len(form) == 1 else 1) and len(form) <= 2 for form in equations for c in form.values()
    )
    if diagonal and orthogonal:
        return []
    if diagonal or not self_dual:
        return [] if orthogonal else [("rescaling", form) for form in solve_forms(equations, group)]
    contragredient = solve_forms(equations, group) if paired and not orthogonal else []
    general: list[tuple[str, Form]] = [("GL", form) for form in contragredient]
    return general or [("O", dict.fromkeys(group, sp.Integer(1)))]


def _edge_factor(graph: ComputationGraph, kind: str, form: Form) -> EdgeGroup:
    (first_name, first_axis), *_ = form
    size = graph.parameters[first_name][first_axis or 0]
    leading = form[(first_name, first_axis)]
    sign = -1 if kind == "GL" and leading > 0 else 1  # the published convention G A⁻¹, H Aᵀ
    axes = {(name, axis or 0): sign * exponent for (name, axis), exponent in form.items()}
    return EdgeGroup("", {name: graph.parameters[name] for name, _ in axes}, axes, size, kind)


def _scalings(graph: ComputationGraph, system: ActionSystem, factors: Sequence[Factor]) -> list[Factor]:
    names = list(graph.parameters)
    found = [_weights(part, names) for factor in factors for part in factor.scalings]
    scalings: list[Factor] = []
    for form in solve_forms(system.scale_equations, [(name, None) for name in names]):
        exponents = {name: exponent for (name, _), exponent in form.items()}
        weights = _weights(exponents, names)
        if not is_in_span(weights, found):
            found.append(weights)
            shapes = {name: graph.parameters[name] for name in exponents}
            scalings.append(Scaling("", shapes, exponents))
    return scalings


def _weights(exponents: Mapping[str, sp.Rational], names: Sequence[str]) -> list[sp.Rational]:
    return [exponents.get(name, sp.Integer(0)) for name in names]


def _named(factors: Sequence[Factor]) -> list[Factor]:
    """Names by kind, numbered where a kind occurs more than once."""
    kinds = [factor.kind for factor in factors]
    named = []
    for index, factor in enumerate(factors):
        repeated = kinds.count(factor.kind) > 1
        number = kinds[: index + 1].count(factor.kind)
        named.append(replace(factor, name=f"{factor.kind}{number}" if repeated else factor.kind))
    return named
