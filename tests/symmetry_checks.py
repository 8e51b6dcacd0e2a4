"""The two laws of a symmetry factor, at explicit points: Dφ[X_A] = 0 and φ(g·θ) = φ(θ)."""

from __future__ import annotations

import numpy as np
import sympy as sp
from graph_oracles import Point, exact_value, float_value, random_point, to_float

import symtheory.graph.functions as st
from symtheory.graph.computation_graph import ComputationGraph
from symtheory.symmetry.certificate.factor_fields import EntryNumbers, factor_fields
from symtheory.symmetry.factor import Factor

# A few dozen float64 operations on numbers of order one: the moved point carries their rounding.
ROUNDING = 1e-9


def moved_point(factor: Factor, point: Point, rng: np.random.Generator) -> Point:
    """The parameters moved by a random element, in float64; other leaves as they are."""
    own = {name: to_float(point[name]) for name in point}
    return {**point, **factor.act(factor.sample(rng), own)}


def fields_at(factor: Factor, graph: ComputationGraph, point: Point, rng: np.random.Generator) -> Point:
    """A random rational combination of the factor's affine fields at an exact point."""
    entries = EntryNumbers.of(graph.parameters)
    theta = np.concatenate([*(point[name].ravel() for name in graph.parameters), [sp.Integer(1)]])
    change = np.full(len(theta) - 1, sp.Integer(0), dtype=object)
    for sparse in factor_fields(factor, entries):
        weight = sp.Rational(int(rng.integers(1, 9)), 8)
        for (row, column), value in sparse.items():
            change[row] += weight * value * theta[column]
    moved = {name: numbers for name, numbers in entries.arrays.items() if name in factor.shapes}
    return {name: np.asarray(change[numbers], dtype=object) for name, numbers in moved.items()}


def assert_symmetry(graph: ComputationGraph, factor: Factor, seed: int, exact: bool = True) -> None:
    """Both laws at a random rational point of a bound graph; ``exact``: Dφ[X_A] is compared with 0 in rationals."""
    rng = np.random.default_rng(seed)
    point = random_point(graph, rng)
    after = moved_point(factor, point, rng)
    assert any(np.any(to_float(after[name]) != to_float(point[name])) for name in factor.shapes), "nothing moved"
    before = float_value(graph, point)
    np.testing.assert_allclose(float_value(graph, after), before, rtol=ROUNDING, atol=ROUNDING)
    field = fields_at(factor, graph, point, rng)
    derivative = graph.differential({name: st.input(f"d_{name}", *graph.parameters[name]) for name in field})
    assert derivative is not None
    anchored = ComputationGraph(derivative + sum(st.param(name, *graph.parameters[name]).sum() * 0 for name in field))
    value = exact_value(anchored, {**point, **{f"d_{name}": entry for name, entry in field.items()}})
    if exact:
        assert all(sp.nsimplify(entry) == 0 for entry in value.ravel())
    else:
        np.testing.assert_allclose([float(sp.N(entry, 30)) for entry in value.ravel()], 0, atol=ROUNDING)
