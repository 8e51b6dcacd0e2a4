"""The two laws of a symmetry factor, at explicit points: Dφ[X_A] = 0 and φ(g·θ) = φ(θ)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import sympy as sp
from graph_oracles import Point, exact_value, float_value, random_point

import symtheory.graph.functions as st
from symtheory.graph.computation_graph import ComputationGraph
from symtheory.symmetry.coordinatewise_group import CoordinatewiseGroup
from symtheory.symmetry.edge_group import EdgeGroup
from symtheory.symmetry.factor import Factor

# The moved point is exact; the values are rounded to float64 once from 30 digits.
ROUNDING = 1e-12


def as_matrix(array: np.ndarray) -> Any:
    """An array as the factor's symbols stand for it: vectors are columns, scalars scalars."""
    if array.ndim == 0:
        return array.item()
    return sp.ImmutableMatrix(array.reshape(-1, 1) if array.ndim == 1 else array)


def as_array(value: Any, shape: tuple[int, ...]) -> np.ndarray:
    entries = list(value) if isinstance(value, sp.MatrixBase) else [value]
    result = np.empty(len(entries), dtype=object)
    result[:] = entries
    return result.reshape(shape)


def group_element(factor: EdgeGroup, rng: np.random.Generator) -> sp.Matrix:
    """A rational element away from the identity: positive diagonal (squares), a Cayley rotation, or invertible."""
    h = int(factor.size)
    if factor.kind == "rescaling":
        return sp.diag(*(sp.Rational(int(rng.integers(2, 5))) ** 2 for _ in range(h)))
    matrix = sp.Matrix(h, h, lambda i, j: sp.Rational(int(rng.integers(-3, 4)), 5))
    if factor.kind == "O":
        skew = matrix - matrix.T
        skew[0, h - 1], skew[h - 1, 0] = sp.Rational(1, 2), sp.Rational(-1, 2)
        return (sp.eye(h) - skew) * (sp.eye(h) + skew).inv()
    return sp.eye(h) * 2 + matrix


def algebra_element(factor: EdgeGroup, rng: np.random.Generator) -> sp.Matrix:
    h = int(factor.size)
    matrix = sp.Matrix(h, h, lambda i, j: sp.Integer(int(rng.integers(-4, 5))))
    if factor.kind == "O":
        return matrix - matrix.T
    return sp.diag(*matrix.diagonal()) if factor.kind == "rescaling" else matrix


def moved_point(factor: Factor, point: Point, rng: np.random.Generator) -> Point:
    if isinstance(factor, CoordinatewiseGroup):
        moved = {name: array.copy() for name, array in point.items()}
        shape = point[next(iter(factor.shapes))].shape
        for index in np.ndindex(shape):
            t = tuple(sp.log(sp.Integer(int(rng.integers(2, 5)))) for _ in factor.matrices)
            here = factor.act(t, {name: point[name][index] for name in factor.shapes})
            for name in factor.shapes:
                moved[name][index] = here[name]
        return moved
    element = group_element(factor, rng) if isinstance(factor, EdgeGroup) else sp.Integer(4)
    moved_matrices = factor.act(element, {name: as_matrix(point[name]) for name in factor.shapes})
    return {**point, **{name: as_array(moved_matrices[name], point[name].shape) for name in factor.shapes}}


def fields_at(factor: Factor, point: Point, rng: np.random.Generator) -> list[Point]:
    """The generators at the point, an arbitrary element of the algebra put in."""
    if isinstance(factor, CoordinatewiseGroup):
        return [
            {name: _evaluate_coordinates(factor, entry, point) for name, entry in generator.items()}
            for generator in factor.generators
        ]
    values: dict[Any, Any] = {factor.symbol(name): as_matrix(point[name]) for name in factor.shapes}
    if isinstance(factor, EdgeGroup):
        values[factor.element] = sp.ImmutableMatrix(algebra_element(factor, rng))
    return [
        {name: as_array(_substitute(entry, values), point[name].shape) for name, entry in generator.items()}
        for generator in factor.generators
    ]


def _substitute(expression: Any, values: Mapping[Any, Any]) -> Any:
    return expression.subs(values).doit()


def _evaluate_coordinates(factor: CoordinatewiseGroup, entry: sp.Expr, point: Point) -> np.ndarray:
    shape = point[next(iter(factor.shapes))].shape
    result = np.empty(shape, dtype=object)
    for index in np.ndindex(shape):
        result[index] = entry.subs({factor.symbol(name): point[name][index] for name in factor.shapes})
    return result


def assert_symmetry(graph: ComputationGraph, factor: Factor, seed: int, exact: bool = True) -> None:
    """Both laws at a random rational point of a bound graph; ``exact``: Dφ[X_A] is compared with 0 in rationals."""
    rng = np.random.default_rng(seed)
    point = random_point(graph, rng)
    after = moved_point(factor, point, rng)
    assert any((after[name] != point[name]).any() for name in factor.shapes), "the group element moved nothing"
    before = float_value(graph, point)
    np.testing.assert_allclose(float_value(graph, after), before, rtol=ROUNDING, atol=ROUNDING)
    for field in fields_at(factor, point, rng):
        tangents = {name: st.input(f"d_{name}", *graph.parameters[name]) for name in field}
        derivative = graph.differential(tangents)
        assert derivative is not None
        anchored = ComputationGraph(
            derivative + sum(st.param(name, *graph.parameters[name]).sum() * 0 for name in field)
        )
        value = exact_value(anchored, {**point, **{f"d_{name}": entry for name, entry in field.items()}})
        if exact:
            assert all(sp.nsimplify(entry) == 0 for entry in value.ravel())
        else:
            np.testing.assert_allclose([float(sp.N(entry, 30)) for entry in value.ravel()], 0, atol=ROUNDING)
