"""Generated geometry obeys the laws of symtheory.testing: the whole catalog, random graphs, and modules broken on
purpose."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from catalog_cases import CLAIMS
from hypothesis import Phase, given, settings
from hypothesis import strategies as hs
from testing_cases import refused

import symtheory as st
from symtheory import catalog
from symtheory.codegen.generated_module import GeneratedModule
from symtheory.errors import CalculusError, DeclarationError, MetricError, ShapeError
from symtheory.geometry import MatrixGeometry
from symtheory.testing import (
    christoffel_matches_metric,
    connection_is_metric,
    connection_is_torsion_free,
    generated_equals_symbolic,
    geodesic_has_taylor_slope,
    geodesic_keeps_horizontality,
    geodesic_keeps_speed,
    gradient_length_is_constant_on_orbits,
    hessian_follows_geodesics,
    hessian_trace_is_constant_on_orbits,
    metric_is_invariant,
    metric_is_positive,
    metric_is_symmetric,
    parametrizations,
    projection_is_idempotent,
    projection_is_self_adjoint,
    projection_keeps_the_differential,
    projection_kills_vertical,
)
from symtheory.testing.arrays import generic_arrays

P = st.Parametrization
Arrays = dict[str, np.ndarray]
METRICS = ("mixed", "invariant")

ALWAYS = {"tanh_net", "curved_valley"}
"""Entries without a continuous symmetry: nothing is vertical."""
SEVERAL_MATRICES = {"multihead_attention"}
"""Straightened coordinates are no expression in single matrices there."""
TRACED = ("low_rank", "tied_product", "shallow_relu", "softmax_classifier", "rms_norm", "cp_decomposition", "attention")
"""Quick entries of each kind for the trace of the Hessian; cp_decomposition iterates, attention straightens."""
TRACE_OF_CONDITION_1000 = 1e-3
"""Rounding grows like the fourth power of a condition number: 1e-16 · 1e12, and some entries."""

RANDOM_GRAPHS, WITH_GEOMETRY, WITH_GROUP = 120, 40, 6
"""Examples drawn, and how many of them at least must have a geometry of matrices, and also a continuous group."""


@cache
def entry(name: str) -> P:
    return catalog.load(name).bind(**CLAIMS[name].sizes)


def point_of(graph: P, seed: int = 1) -> Arrays:
    return generic_arrays(graph.parameters, seed)


def tangent_of(graph: P, seed: int) -> Arrays:
    rng = np.random.default_rng(seed)
    return {name: np.asarray(rng.standard_normal([int(s) for s in shape])) for name, shape in graph.parameters.items()}


def element_of(graph: P, seed: int = 5, condition: float = 10.0) -> Arrays:
    return graph.symmetries().sample(np.random.default_rng(seed), condition)


def algebra_of(graph: P, seed: int = 6) -> Arrays:
    rng = np.random.default_rng(seed)
    return {factor.name: factor.algebra_sample(rng) for factor in graph.symmetries()}


def examine(graph: P, metric: str, seed: int = 1) -> None:
    """Every law but that of the Hessian's trace, at one point."""
    point, g = point_of(graph, seed), element_of(graph, seed)
    xi, eta, zeta = (tangent_of(graph, seed + place) for place in (1, 2, 3))
    metric_is_symmetric(graph, point, xi, zeta, metric)
    metric_is_positive(graph, point, metric)
    christoffel_matches_metric(graph, point, xi, metric)
    connection_is_metric(graph, point, xi, eta, zeta, metric)
    connection_is_torsion_free(graph, point, xi, eta, metric)
    geodesic_keeps_speed(graph, point, xi, metric)
    for order in (1, 2, 3):
        geodesic_has_taylor_slope(graph, point, xi, order, metric)
    if isinstance(graph.geometry(metric), MatrixGeometry):
        hessian_follows_geodesics(graph, point, xi, metric=metric)
    if len(graph.symmetries()):
        metric_is_invariant(graph, point, g, xi, zeta, metric)
        gradient_length_is_constant_on_orbits(graph, point, g, metric=metric)
        projection_is_idempotent(graph, point, xi, metric)
        projection_is_self_adjoint(graph, point, xi, zeta, metric)
        projection_kills_vertical(graph, point, algebra_of(graph), metric)
        projection_keeps_the_differential(graph, point, xi, metric=metric)
        geodesic_keeps_horizontality(graph, point, xi, metric)


# The laws hold.


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", catalog.NAMES)
def test_the_laws_hold_on_the_catalog(name: str, metric: str) -> None:
    graph = entry(name)
    assert bool(len(graph.symmetries())) is (name not in ALWAYS)
    examine(graph, metric)
    point, xi, zeta = point_of(graph), tangent_of(graph, 2), tangent_of(graph, 4)
    if name in SEVERAL_MATRICES:
        with pytest.raises(CalculusError, match="no matrix-expression meaning"):
            generated_equals_symbolic(graph, point, xi, zeta, metric)
    else:
        generated_equals_symbolic(graph, point, xi, zeta, metric)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", [name for name in catalog.NAMES if name not in ALWAYS])
def test_gradients_keep_their_length_under_elements_of_condition_1000(name: str, metric: str) -> None:
    graph = entry(name)
    gradient_length_is_constant_on_orbits(graph, point_of(graph), element_of(graph, condition=1e3), metric=metric)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", TRACED)
def test_the_trace_of_the_hessian_belongs_to_the_quotient(name: str, metric: str) -> None:
    graph = entry(name)
    hessian_trace_is_constant_on_orbits(graph, point_of(graph), element_of(graph), metric=metric)
    hessian_trace_is_constant_on_orbits(
        graph, point_of(graph), element_of(graph, condition=1e3), metric=metric, tolerance=TRACE_OF_CONDITION_1000
    )


def has_geometry(graph: P, metric: str, point: Arrays) -> bool:
    """Whether there is a geometry of matrices that is defined at the point."""
    try:
        geometry = graph.geometry(metric)
    except (CalculusError, MetricError):
        return False
    if not isinstance(geometry, MatrixGeometry):
        return False
    made = st.generate(graph, metric)
    if {"christoffel_form", *(["project_horizontal"] if len(graph.symmetries()) else [])} & made.omitted.keys():
        return False
    try:
        made.load().check_domain({name: torch.from_numpy(value) for name, value in point.items()})
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("metric", METRICS)
def test_the_laws_hold_on_random_graphs_of_matrices(metric: str) -> None:
    """Those that act coordinate by coordinate are left to the catalog: SymPy may look for a closed form for minutes."""
    groups = []

    @settings(max_examples=RANDOM_GRAPHS, phases=[Phase.generate])
    @given(graph=parametrizations(max_operations=4), seed=hs.integers(0, 99))
    def examine_one(graph: P, seed: int) -> None:
        if has_geometry(graph, metric, point_of(graph, seed)):
            examine(graph, metric, seed)
            groups.append(len(graph.symmetries()))

    examine_one()
    assert len(groups) >= WITH_GEOMETRY
    assert sum(map(bool, groups)) >= WITH_GROUP


# A module that is broken is refused.


def broken(made: GeneratedModule, function: str, old: str, new: str) -> ModuleType:
    """The module with one place in one function's text exchanged."""
    start = re.search(rf"^def {function}\(", made.source, re.MULTILINE)
    assert start is not None
    follows = re.compile(r"^(def |class |[A-Z])", re.MULTILINE).search(made.source, start.end())
    end = len(made.source) if follows is None else follows.start()
    text = made.source[start.start() : end]
    assert text.count(old) == 1, f"{text.count(old)} places in {function}"
    source = made.source[: start.start()] + text.replace(old, new) + made.source[end:]
    return GeneratedModule(made.name, source).load()


@cache
def wide() -> P:
    n, m, h = st.dims("n m h")
    return P(st.param("G", n, h) @ st.param("H", m, h).T, name="low_rank").bind(n=3, m=4, h=2)


Law = Callable[[Any, Arrays, Arrays, Arrays, Arrays], None]


def on_orbits(law: Callable[..., None]) -> Law:
    return lambda m, point, xi, eta, zeta: law(m, point, element_of(wide()), seed=1)


def taylor(order: int) -> Law:
    return lambda m, point, xi, eta, zeta: geodesic_has_taylor_slope(m, point, xi, order)


LAWS: dict[str, Law] = {
    "metric_is_symmetric": lambda m, point, xi, eta, zeta: metric_is_symmetric(m, point, xi, zeta),
    "metric_is_positive": lambda m, point, xi, eta, zeta: metric_is_positive(m, point),
    "metric_is_invariant": lambda m, point, xi, eta, zeta: metric_is_invariant(m, point, element_of(wide()), xi, zeta),
    "projection_is_idempotent": lambda m, point, xi, eta, zeta: projection_is_idempotent(m, point, xi),
    "projection_is_self_adjoint": lambda m, point, xi, eta, zeta: projection_is_self_adjoint(m, point, xi, zeta),
    "projection_kills_vertical": lambda m, point, xi, eta, zeta: projection_kills_vertical(
        m, point, algebra_of(wide())
    ),
    "projection_keeps_the_differential": lambda m, point, xi, eta, zeta: projection_keeps_the_differential(
        m, point, xi
    ),
    "christoffel_matches_metric": lambda m, point, xi, eta, zeta: christoffel_matches_metric(m, point, xi),
    "connection_is_metric": lambda m, point, xi, eta, zeta: connection_is_metric(m, point, xi, eta, zeta),
    "connection_is_torsion_free": lambda m, point, xi, eta, zeta: connection_is_torsion_free(m, point, xi, eta),
    "geodesic_keeps_speed": lambda m, point, xi, eta, zeta: geodesic_keeps_speed(m, point, xi),
    "geodesic_keeps_horizontality": lambda m, point, xi, eta, zeta: geodesic_keeps_horizontality(m, point, xi),
    "geodesic_has_taylor_slope": taylor(2),
    "gradient_length_is_constant_on_orbits": on_orbits(gradient_length_is_constant_on_orbits),
    "hessian_trace_is_constant_on_orbits": on_orbits(hessian_trace_is_constant_on_orbits),
    "hessian_follows_geodesics": lambda m, point, xi, eta, zeta: hessian_follows_geodesics(m, point, xi),
    "generated_equals_symbolic": lambda m, point, xi, eta, zeta: generated_equals_symbolic(
        wide(), point, xi, zeta, module=m
    ),
}
"""Each law on a module of the product of two matrices in the mixed metric."""

BREAKS = [
    ("metric_is_symmetric", "inner", "(gram_H * (zeta", "(gram_H.tril() * (zeta"),
    ("metric_is_positive", "inner", ".sum((-2, -1)) + (gram_G", ".sum((-2, -1)) - (gram_G"),
    ("metric_is_invariant", "inner", "(gram_H * (zeta", "(gram_G * (zeta"),
    ("metric_is_invariant", "act", "H @ g_GL.mT", "H @ g_GL"),
    ("projection_is_idempotent", "project_horizontal", "A_GL = A_GL.to", "A_GL = 2 * A_GL.to"),
    ("projection_is_self_adjoint", "project_horizontal", "(H_xi_H.mT @ inverse_gram_H) / 2 -", "-2 *"),
    ("projection_kills_vertical", "project_horizontal", "inverse_gram_H) / 2", "inverse_gram_H) / 3"),
    ("projection_kills_vertical", "vertical", "-G @ A_GL", "G @ A_GL"),
    ("projection_keeps_the_differential", "project_horizontal", 'xi["H"] - point', 'xi["H"] + point'),
    ("christoffel_matches_metric", "christoffel_form", "rate_gram_G @ inverse_gram_G", "inverse_gram_G @ rate_gram_G"),
    ("christoffel_matches_metric", "christoffel_form", "G_xi_G.mT + G_xi_G", "2 * G_xi_G"),
    ("christoffel_matches_metric", "inner", "gram_H = _gram(H)", "gram_H = 2 * _gram(H)"),
    ("connection_is_metric", "christoffel_form", "_gram(xi_G)", "2 * _gram(xi_G)"),
    ("connection_is_torsion_free", "christoffel_form", "_gram(xi_G)", "_gram(G)"),
    ("connection_is_torsion_free", "christoffel_form", "H_xi_H.mT + H_xi_H", "(H_xi_H.mT + H_xi_H) ** 2"),
    ("geodesic_keeps_speed", "christoffel_form", "_gram(xi_H)", "-_gram(xi_H)"),
    ("geodesic_keeps_horizontality", "christoffel_form", "_gram(xi_H)", "0 * _gram(xi_H)"),
    ("geodesic_has_taylor_slope", "geodesic", "times[key] ** 2 / 2", "times[key] ** 2"),
    ("gradient_length_is_constant_on_orbits", "sharp", "d_G @ inverse_gram_H", "d_G @ inverse_gram_G"),
    ("gradient_length_is_constant_on_orbits", "act", "H @ g_GL.mT", "H @ g_GL"),
    ("hessian_trace_is_constant_on_orbits", "hessian_trace", "sharp(point, unit)", "unit"),
    ("hessian_follows_geodesics", "riemannian_hessian", "minus[key]) / 4", "minus[key]) / 2"),
    ("hessian_follows_geodesics", "geodesic", "times[key] ** 2 / 2", "times[key] ** 2 / 3"),
    ("generated_equals_symbolic", "inner", "(gram_H * (zeta", "(gram_G * (zeta"),
    ("generated_equals_symbolic", "christoffel_form", "_gram(xi_G)", "2 * _gram(xi_G)"),
]


def arguments(graph: P) -> tuple[Arrays, Arrays, Arrays, Arrays]:
    return point_of(graph), tangent_of(graph, 2), tangent_of(graph, 3), tangent_of(graph, 4)


@pytest.mark.parametrize(("law", "function", "old", "new"), BREAKS)
def test_a_law_refuses_a_module_that_breaks_it(law: str, function: str, old: str, new: str) -> None:
    made = st.generate(wide(), "mixed")
    LAWS[law](made, *arguments(wide()))
    with refused(law):
        LAWS[law](broken(made, function, old, new), *arguments(wide()))


def test_every_law_is_seen_to_fail() -> None:
    assert {law for law, *_ in BREAKS} == set(LAWS)


@pytest.mark.parametrize(
    ("order", "old", "new"),
    [
        (1, "+ times[key] * xi[key]", "- times[key] * xi[key]"),
        (2, "times[key] ** 2 / 2", "times[key] ** 2 / 3"),
        (3, "times[key] ** 3 / 6", "times[key] ** 3 / 2"),
    ],
)
def test_each_order_of_the_taylor_polynomial_has_its_slope(order: int, old: str, new: str) -> None:
    made = st.generate(wide(), "mixed")
    wrong = broken(made, "geodesic", old, new)
    for other in range(1, order):
        taylor(other)(wrong, *arguments(wide()))
    with refused("geodesic_has_taylor_slope", f"order {order}", "slope", f"{order + 1} is due"):
        taylor(order)(wrong, *arguments(wide()))


@pytest.mark.parametrize(
    ("law", "function", "old", "new"),
    [
        ("christoffel_matches_metric", "christoffel_form", "factor_3 - factor**2", "factor_3 + factor**2"),
        ("geodesic_keeps_speed", "christoffel_form", "factor_3 - factor_2**2", "factor_3 - 2 * factor_2**2"),
        ("projection_is_idempotent", "project_horizontal", "(xi_u / u + xi_v / v) / 2", "xi_u / u + xi_v / v"),
        ("metric_is_positive", "inner", "u**2 * xi_v", "-(u**2) * xi_v"),
        ("geodesic_has_taylor_slope", "_geodesic_quadratic", "factor_2 * (1 - factor)", "factor_2 * (1 + factor)"),
    ],
)
def test_a_law_refuses_a_broken_module_of_coordinates(law: str, function: str, old: str, new: str) -> None:
    made = st.generate(entry("hadamard"), "mixed")
    LAWS[law](made, *arguments(entry("hadamard")))
    with refused(law):
        LAWS[law](broken(made, function, old, new), *arguments(entry("hadamard")))


def test_messages_name_the_factor_the_parameter_and_the_deviation() -> None:
    made, values = st.generate(wide(), "mixed"), arguments(wide())
    with refused("christoffel_matches_metric", "'low_rank'", "in 'H'", "relative deviation", "G ", "H "):
        LAWS["christoffel_matches_metric"](broken(made, "christoffel_form", "_gram(xi_G)", "2 * _gram(xi_G)"), *values)
    with refused("metric_is_invariant", "factor 'GL'", "'low_rank'", "relative deviation", "<xi, zeta> was"):
        LAWS["metric_is_invariant"](broken(made, "inner", "(gram_H * (zeta", "(gram_G * (zeta"), *values)
    with refused("metric_is_positive", "eigenvalues from -", "G ", "H "):
        LAWS["metric_is_positive"](
            broken(made, "inner", ".sum((-2, -1)) + (gram_G", ".sum((-2, -1)) - (gram_G"), *values
        )


# What is not examined is refused at the border.


def test_what_is_no_module_is_refused() -> None:
    graph = wide()
    with pytest.raises(DeclarationError, match="a generated module or a Parametrization, not int"):
        metric_is_positive(3, point_of(graph))  # type: ignore[arg-type]
    with pytest.raises(DeclarationError, match=r"size 'h' of parameter 'G' .* is unbound"):
        metric_is_positive(catalog.load("low_rank"), point_of(graph))
    with pytest.raises(DeclarationError, match="has no project_horizontal: there is no continuous symmetry"):
        projection_is_idempotent(entry("tanh_net"), point_of(entry("tanh_net")), tangent_of(entry("tanh_net"), 1))
    with pytest.raises(DeclarationError, match="order 4 of a geodesic is not available"):
        geodesic_has_taylor_slope(graph, point_of(graph), tangent_of(graph, 1), 4)
    with pytest.raises(DeclarationError, match="those of a Parametrization, not of a module"):
        generated_equals_symbolic(st.generate(graph).load(), *arguments(graph)[:3])  # type: ignore[arg-type]


def test_arrays_that_do_not_fit_are_refused() -> None:
    graph = wide()
    point, xi, _, zeta = arguments(graph)
    with pytest.raises(DeclarationError, match="the tangent has no 'H'"):
        metric_is_symmetric(graph, point, {"G": xi["G"]}, zeta)
    with pytest.raises(ShapeError, match=r"'G' in the point has shape \(2, 2\): it must have \(3, 2\)"):
        metric_is_symmetric(graph, {**point, "G": np.ones((2, 2))}, xi, zeta)


def test_modules_are_taken_loaded_or_not_with_free_sizes_or_bound() -> None:
    point, xi, eta, zeta = arguments(wide())
    free = st.generate(catalog.load("low_rank"), "invariant")
    for geometry in (free, free.load(), wide()):
        connection_is_metric(geometry, point, xi, eta, zeta, "invariant")
        projection_keeps_the_differential(geometry, point, xi, metric="invariant")
        metric_is_invariant(geometry, point, element_of(wide()), xi, zeta, "invariant")
    net = st.generate(catalog.load("shallow_relu"))
    sample = {"x": np.array([0.3, -1.2])}
    values = point_of(entry("shallow_relu")), tangent_of(entry("shallow_relu"), 1)
    projection_keeps_the_differential(net, *values, data=sample)
    with pytest.raises(DeclarationError, match="has inputs of free size: pass data="):
        projection_keeps_the_differential(net, *values)
