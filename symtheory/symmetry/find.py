"""From the solutions of the propagated system to named group factors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import sympy as sp

from symtheory.errors import CalculusError
from symtheory.graph.action import ActionSystem, Kind, Slot, Unknown
from symtheory.graph.axis_refinement import AxisRefinement
from symtheory.graph.computation_graph import ComputationGraph
from symtheory.graph.elementwise import ElementwiseModel
from symtheory.symmetry.coordinatewise_algebra import (
    affine_dimension,
    annihilating_matrices,
    constant_fields,
    without_multiples_of_shifts,
)
from symtheory.symmetry.coordinatewise_group import CoordinatewiseGroup
from symtheory.symmetry.discrete import discrete_symmetries
from symtheory.symmetry.edge_group import FIXING_ONES, GENERAL, ORTHOGONAL, EdgeGroup
from symtheory.symmetry.factor import Factor
from symtheory.symmetry.group import SymmetryGroup
from symtheory.symmetry.mixing import mixing_reasons
from symtheory.symmetry.parameter_places import ParameterPlaces, Solution
from symtheory.symmetry.propagation import propagate
from symtheory.symmetry.rescaling import Rescaling
from symtheory.symmetry.site import Pattern
from symtheory.symmetry.solutions import is_in_span, solve_forms
from symtheory.symmetry.translation_search import find_translations

ALGEBRAS = {Kind.HOLLOW: GENERAL, Kind.SKEW: ORTHOGONAL, Kind.SKEW_ONES: FIXING_ONES}


def find_symmetries(graph: ComputationGraph) -> SymmetryGroup:
    """The connected group of affine changes of the parameters that leave the predictor as it is.

    Changes of basis come from propagation; on a coordinatewise polynomial the linear fields of one coordinate are
    solved for exactly besides, which adds those that mix parameters (u² − v² is preserved by hyperbolic rotations).
    """
    refinement = AxisRefinement(graph)
    system = propagate(graph, refinement)
    places = ParameterPlaces(graph, refinement)
    translations = find_translations(graph)
    try:
        model = graph.elementwise
    except CalculusError:
        edge_groups = _edge_groups(places, system)
        factors = _in_order(places, [*edge_groups, *_rescalings(places, system, edge_groups)]) + translations
        reasons = [*system.blocked_by, *mixing_reasons(graph)]
    else:
        factors, reasons = _factors_of_one_coordinate(graph, model, system, len(translations))
        factors += [replace(translation, coordinatewise=True) for translation in translations]
    continuous = _named(factors)
    return SymmetryGroup(
        tuple(continuous),
        tuple(dict.fromkeys(reasons)),
        discrete_symmetries(places, system, continuous),
    )


def _in_order(places: ParameterPlaces, factors: Sequence[EdgeGroup | Rescaling]) -> list[Factor]:
    """Factors in the order of the places they act on; scalings of whole parameters last."""
    names = list(places.layouts)

    def key(factor: EdgeGroup | Rescaling) -> tuple[bool, int, int]:
        site = factor.sites[0]
        place = site.place if site.place is not None else min(site.copies, default=0)
        return factor.kind == "scaling", names.index(site.parameter), place

    return [*sorted(factors, key=key)]


def _edge_groups(places: ParameterPlaces, system: ActionSystem) -> list[EdgeGroup]:
    """Matrices along places, the largest group for each set of places."""
    found: list[tuple[Solution, EdgeGroup]] = []
    for kind, algebra in ALGEBRAS.items():
        equations = [form for own, form in system.equations if own is kind]
        for solution in solve_forms(equations, places.unknowns(kind)):
            if not any(_is_contained(solution, other) for other, _ in found):
                ordered = places.in_order(solution)
                leading = next(iter(ordered.values()))
                # The published convention: the first parameter takes A⁻¹, as in (G A⁻¹, H Aᵀ).
                sites = places.sites(ordered, -1 if kind is Kind.HOLLOW and leading > 0 else 1)
                first = sites[0]
                size = first.layout.sizes[first.place or 0]
                found.append((solution, EdgeGroup("", places.shapes(solution), sites, size, algebra, first.copy_sizes)))
    return [group for _, group in found]


def _is_contained(solution: Solution, other: Solution) -> bool:
    """Whether the same places are moved by the other solution, with at least the same copies and a larger algebra."""
    varies = {(unknown.parameter, unknown.slot.place): unknown.slot.varies for unknown in other}
    own = {(unknown.parameter, unknown.slot.place): unknown.slot.varies for unknown in solution}
    return own.keys() == varies.keys() and all(own[place] <= varies[place] for place in own)


def _rescalings(places: ParameterPlaces, system: ActionSystem, edge_groups: Sequence[EdgeGroup]) -> list[Rescaling]:
    """Numbers that vary over places, without those that a larger factor contains."""
    equations = [form for own, form in system.equations if own is Kind.NUMBER]
    known: list[Pattern] = [pattern for group in edge_groups for _, pattern in group.weighted_patterns]
    found: list[Rescaling] = []
    solutions = solve_forms(equations, places.unknowns(Kind.NUMBER))
    for solution in sorted(solutions, key=lambda solution: -len(next(iter(solution)).slot.varies)):
        ordered = places.in_order(solution)
        rescaling = Rescaling("", places.shapes(solution), places.sites(ordered))
        patterns = [pattern for _, pattern in rescaling.weighted_patterns]
        if not _is_known(patterns[-1], known):
            found.append(rescaling)
            known += patterns
    return found


def _is_known(pattern: Pattern, known: Sequence[Pattern]) -> bool:
    keys = sorted({key for other in (pattern, *known) for key in other}, key=str)
    vectors = [[other.get(key, sp.Integer(0)) for key in keys] for other in known]
    return is_in_span([pattern.get(key, sp.Integer(0)) for key in keys], vectors)


def _factors_of_one_coordinate(
    graph: ComputationGraph, model: ElementwiseModel, system: ActionSystem, shifts_found: int
) -> tuple[list[Factor], list[str]]:
    """A rescaling along an axis acts on each coordinate by itself: all factors are coordinatewise."""
    everywhere = frozenset(place for place, size in enumerate(graph.predictor.shape) if size != 1)
    unknowns = [Unknown(name, Slot(Kind.NUMBER, None, everywhere)) for name in graph.parameters]
    equations = [form for _, form in system.equations if set(form) <= set(unknowns)]
    matrices = tuple(
        sp.ImmutableMatrix(sp.diag(*(form.get(unknown, sp.Integer(0)) for unknown in unknowns)))
        for form in solve_forms(equations, unknowns)
    )
    exact = annihilating_matrices(model)
    if exact is None:
        reasons = [*system.blocked_by, *mixing_reasons(graph)]
    else:
        shifts = constant_fields(model)
        candidates = (*matrices, *exact) if shifts else exact if len(exact) > len(matrices) else matrices
        matrices = without_multiples_of_shifts(candidates, shifts)
        more = affine_dimension(model) > len(matrices) + shifts_found
        reasons = ["affine fields of one coordinate (a linear change and a shift in one)"] if more else []
    if not matrices:
        return [], reasons
    quadratic = exact is not None and sp.Poly(model.predictor, *model.coordinates).total_degree() == 2
    return [CoordinatewiseGroup("", dict(graph.parameters), matrices, quadratic)], reasons


def _named(factors: Sequence[Factor]) -> list[Factor]:
    """Names by kind, numbered where a kind occurs more than once."""
    kinds = [factor.kind for factor in factors]
    named = []
    for index, factor in enumerate(factors):
        repeated = kinds.count(factor.kind) > 1
        number = kinds[: index + 1].count(factor.kind)
        named.append(replace(factor, name=f"{factor.kind}{number}" if repeated else factor.kind))
    return named
