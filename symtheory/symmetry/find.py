"""From the solutions of the propagated system to named group factors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import sympy as sp

from symtheory.errors import CalculusError
from symtheory.graph.action import ActionSystem, Form, Unknown
from symtheory.graph.computation_graph import ComputationGraph
from symtheory.symmetry.coordinatewise_algebra import annihilating_matrices
from symtheory.symmetry.coordinatewise_group import CoordinatewiseGroup
from symtheory.symmetry.edge_group import EdgeGroup
from symtheory.symmetry.factor import Factor
from symtheory.symmetry.group import SymmetryGroup
from symtheory.symmetry.propagation import propagate
from symtheory.symmetry.scaling import Scaling
from symtheory.symmetry.solutions import connected_unknowns, is_in_span, solve_forms


def find_symmetries(graph: ComputationGraph) -> SymmetryGroup:
    """The connected group of linear changes of the parameters that leave the predictor as it is.

    Changes of basis come from propagation; on a coordinatewise polynomial the linear fields of one coordinate are
    solved for exactly besides, which adds those that mix parameters (u² − v² is preserved by hyperbolic rotations).
    """
    system = propagate(graph)
    coordinatewise = _coordinatewise(graph, system)
    edges = _edge_groups(graph, system, coordinatewise)
    factors = [*edges, *coordinatewise]
    factors += _scalings(graph, system, factors)
    return SymmetryGroup(tuple(_named(factors)), tuple(dict.fromkeys(system.blocked_by)))


def _coordinatewise(graph: ComputationGraph, system: ActionSystem) -> list[Factor]:
    unknowns: list[Unknown] = [(name, None) for name in graph.parameters]
    solutions = solve_forms(system.diagonal_equations, unknowns)
    try:
        model = graph.elementwise
    except CalculusError:
        return [
            CoordinatewiseGroup("", {name: graph.parameters[name] for name, _ in form}, (_diagonal(form),))
            for form in solutions
        ]
    matrices = annihilating_matrices(model)
    if matrices is None or len(matrices) <= len(solutions):
        matrices = tuple(_diagonal(form, unknowns) for form in solutions)
    if not matrices:
        return []
    quadratic = model.predictor.is_polynomial() and sp.Poly(model.predictor, *model.coordinates).total_degree() == 2
    return [CoordinatewiseGroup("", dict(graph.parameters), matrices, bool(quadratic))]


def _diagonal(form: Form, unknowns: Sequence[Unknown] | None = None) -> sp.ImmutableMatrix:
    entries = [form.get(unknown, sp.Integer(0)) for unknown in unknowns or form]
    return sp.ImmutableMatrix(sp.diag(*entries))


def _edge_groups(graph: ComputationGraph, system: ActionSystem, coordinatewise: Sequence[Factor]) -> list[Factor]:
    unknowns: list[Unknown] = [(name, axis) for name, shape in graph.parameters.items() for axis in range(len(shape))]
    factors: list[Factor] = []
    for group in connected_unknowns(system.axis_equations, unknowns):
        equations = [form for form in system.axis_equations if set(form) <= set(group)]
        for kind, form in _solve_component(group, equations, system):
            factor = _edge_factor(graph, kind, form)
            if not _is_coordinatewise(factor, coordinatewise):
                factors.append(factor)
    return factors


def _solve_component(
    group: Sequence[Unknown], equations: Sequence[Form], system: ActionSystem
) -> list[tuple[str, Form]]:
    """Which matrices may act on the axes of a connected set of unknowns: kind and exponents of each solution."""
    diagonal = any(unknown in system.diagonal_axes for unknown in group)
    orthogonal = any(unknown in system.orthogonal_axes for unknown in group)
    general = all(len(form) == 2 and all(abs(c) == 1 for c in form.values()) for form in equations)
    self_dual = all(abs(c) == (2 if len(form) == 1 else 1) for form in equations for c in form.values())
    if not diagonal and not general and self_dual and all(len(form) <= 2 for form in equations):
        orthogonal = True  # A + A = 0 in forms reads A = −Aᵀ: the contraction of a tensor with itself
        general = True
    if orthogonal:
        return [] if diagonal or not general else [("O", dict.fromkeys(group, sp.Integer(1)))]
    kind = "GL" if general and not diagonal else "rescaling"
    return [(kind, form) for form in solve_forms(equations, group)]


def _edge_factor(graph: ComputationGraph, kind: str, form: Form) -> Factor:
    (first_name, first_axis), *_ = form
    size = graph.parameters[first_name][first_axis or 0]
    leading = form[(first_name, first_axis)]
    sign = -1 if kind == "GL" and leading > 0 else 1  # the published convention G A⁻¹, H Aᵀ
    axes = {name: (axis or 0, sign * exponent) for (name, axis), exponent in form.items()}
    return EdgeGroup("", {name: graph.parameters[name] for name in axes}, axes, size, kind)


def _is_coordinatewise(factor: Factor, coordinatewise: Sequence[Factor]) -> bool:
    """Whether a rescaling along one axis is part of a coordinatewise rescaling that was found already."""
    if not isinstance(factor, EdgeGroup) or len({axis for axis, _ in factor.axes.values()}) > 1:
        return False
    names = sorted({name for other in coordinatewise for name in other.shapes} | set(factor.axes))
    found = [_scalar_weights(vector, names) for other in coordinatewise for vector in _scalar_parts(other)]
    own = {name: exponent for name, (_, exponent) in factor.axes.items()}
    return is_in_span(_scalar_weights(own, names), found)


def _scalings(graph: ComputationGraph, system: ActionSystem, factors: Sequence[Factor]) -> list[Factor]:
    names = list(graph.parameters)
    found = [_scalar_weights(part, names) for factor in factors for part in _scalar_parts(factor)]
    scalings: list[Factor] = []
    for form in solve_forms(system.scale_equations, [(name, None) for name in names]):
        exponents = {name: exponent for (name, _), exponent in form.items()}
        weights = _scalar_weights(exponents, names)
        if not is_in_span(weights, found):
            found.append(weights)
            shapes = {name: graph.parameters[name] for name in exponents}
            scalings.append(Scaling("", shapes, exponents))
    return scalings


def _scalar_weights(exponents: Mapping[str, sp.Rational], names: Sequence[str]) -> list[sp.Rational]:
    return [exponents.get(name, sp.Integer(0)) for name in names]


def _scalar_parts(factor: Factor) -> list[dict[str, sp.Rational]]:
    """The common rescalings of whole parameters that a factor contains: parameter → exponent."""
    if isinstance(factor, EdgeGroup):
        return [] if factor.kind == "O" else [{name: exponent for name, (_, exponent) in factor.axes.items()}]
    if isinstance(factor, CoordinatewiseGroup):
        return [
            dict(zip(factor.shapes, matrix.diagonal(), strict=True))
            for matrix in factor.matrices
            if matrix.is_diagonal()
        ]
    return []


def _named(factors: Sequence[Factor]) -> list[Factor]:
    """Names by kind, numbered where a kind occurs more than once."""
    kinds = [factor.kind for factor in factors]
    named = []
    for index, factor in enumerate(factors):
        repeated = kinds.count(factor.kind) > 1
        number = kinds[: index + 1].count(factor.kind)
        named.append(replace(factor, name=f"{factor.kind}{number}" if repeated else factor.kind))
    return named
