"""Strategies for points, data and tangents of a bound parametrization, as float64 arrays."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from symtheory.errors import DeclarationError
from symtheory.graph.computation_graph import ComputationGraph
from symtheory.graph.shapes import Shape
from symtheory.testing.declared_function import bound_shape
from symtheory.testing.hypothesis_extra import SEEDS
from symtheory.testing.hypothesis_extra import strategies as hs

SMALLEST, LARGEST = 0.5, 2.0
"""Absolute values of the entries drawn: far from zero, and of order one so that products stay so."""


def points(P: ComputationGraph, positive: bool = False) -> hs.SearchStrategy[dict[str, np.ndarray]]:
    """Parameter → float64 array; absolute values uniform in [0.5, 2], signs random unless ``positive``.

    Entries are generic: no two agree, and sums of products meet zero, where there is a kink, with probability zero.
    Raises ``DeclarationError`` for unbound sizes.
    """
    require_sizes(P)
    return SEEDS.map(lambda seed: generic_arrays(P.parameters, seed, positive))


def data(P: ComputationGraph, positive: bool = False) -> hs.SearchStrategy[dict[str, np.ndarray]]:
    """Input or constant → float64 array, as ``points`` draws them; one sample."""
    require_sizes(P)
    return SEEDS.map(lambda seed: generic_arrays({**P.inputs, **P.constants}, seed, positive))


def tangents(P: ComputationGraph) -> hs.SearchStrategy[dict[str, np.ndarray]]:
    """Parameter → float64 array of standard normal entries, a direction in which to differentiate."""
    require_sizes(P)
    return SEEDS.map(lambda seed: _normal_arrays(P.parameters, seed))


def standard_data(P: ComputationGraph) -> dict[str, np.ndarray]:
    """The data a law uses when it is given none: always the same."""
    return generic_arrays({**P.inputs, **P.constants}, seed=0)


def generic_arrays(shapes: Mapping[str, Shape], seed: int, positive: bool = False) -> dict[str, np.ndarray]:
    """Absolute values uniform in [SMALLEST, LARGEST]; equal seeds give equal arrays."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for name, shape in shapes.items():
        sizes = bound_shape(shape)
        signs = np.ones(sizes) if positive else rng.choice([-1.0, 1.0], size=sizes)
        arrays[name] = np.asarray(signs * rng.uniform(SMALLEST, LARGEST, size=sizes))
    return arrays


def _normal_arrays(shapes: Mapping[str, Shape], seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: np.asarray(rng.standard_normal(bound_shape(shape))) for name, shape in shapes.items()}


def require_sizes(P: ComputationGraph) -> None:
    """``DeclarationError`` for a size that is still a symbol, in a parameter or elsewhere."""
    P.require_bound()
    if P.free_sizes:
        size = P.free_sizes[0]
        raise DeclarationError(f"size '{size}' of '{P.name}' is unbound: call bind({size}=…) first")
