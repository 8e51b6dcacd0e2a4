"""Declarations, metrics, points and slow oracles that the tests of generated modules share; all float64."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from types import ModuleType

import sympy as sp
import torch
from torch import Tensor

import symtheory as st
from symtheory import catalog
from symtheory.catalog.depth_product import product_of
from symtheory.codegen.generated_module import GeneratedModule
from symtheory.symmetry.element_names import element_names

Point = dict[str, Tensor]

BINDING = {"d": 2, "n": 3, "m": 2}
"""Values of the symbolic sizes, small so that dense oracles stay quick."""

METRICS = ("euclidean", "invariant", "mixed")
INVARIANT_METRICS = ("invariant", "mixed")


def _square_by_line() -> st.Parametrization:
    d = st.dims("d")
    u, v = st.param("u", d), st.param("v", d)
    return st.Parametrization(u * u * v, name="square_by_line")


def _matrices() -> st.Parametrization:
    n, m = st.dims("n m")
    u, v = st.param("u", n, m), st.param("v", n, m)
    return st.Parametrization(u * v, name="matrices")


def _scalars() -> st.Parametrization:
    u, v = st.param("u"), st.param("v")
    return st.Parametrization(u * v, name="scalars")


DECLARATIONS: dict[str, Callable[[], st.Parametrization]] = {
    "hadamard": lambda: catalog.load("hadamard"),
    "squared_difference": lambda: catalog.load("squared_difference"),
    "depth_product": lambda: catalog.load("depth_product"),
    "four_factors": lambda: product_of(4),
    "square_by_line": _square_by_line,
    "matrices": _matrices,
    "scalars": _scalars,
}

PREDICTORS: dict[str, Callable[..., Tensor]] = {
    "hadamard": lambda u, v: u * v,
    "squared_difference": lambda u, v: u**2 - v**2,
    "depth_product": lambda u1, u2, u3: u1 * u2 * u3,
    "four_factors": lambda u1, u2, u3, u4: u1 * u2 * u3 * u4,
    "square_by_line": lambda u, v: u**2 * v,
    "matrices": lambda u, v: u * v,
    "scalars": lambda u, v: u * v,
}
"""The predictors again, written by hand."""

CASES = [(name, metric) for name in DECLARATIONS for metric in METRICS]
INVARIANT_CASES = [(name, metric) for name in DECLARATIONS for metric in INVARIANT_METRICS]


def own_metric() -> st.Metric:
    """Not diagonal and not a product: curved, positive everywhere, not invariant under rescaling."""
    u, v = sp.symbols("u v", real=True)
    return st.Metric(sp.Matrix([[1 + u**2, u * v / 2], [u * v / 2, 1 + v**2]]), (u, v), name="own")


@cache
def declaration(name: str) -> st.Parametrization:
    return DECLARATIONS[name]()


@cache
def generated(name: str, metric: str) -> GeneratedModule:
    return st.generate(declaration(name), metric=own_metric() if metric == "own" else metric)


def module(name: str, metric: str = "mixed") -> ModuleType:
    return generated(name, metric).load()


def shapes(name: str) -> dict[str, tuple[int, ...]]:
    """Leaf shapes of a declaration with the sizes of BINDING put in."""
    declared = declaration(name).parameters
    return {leaf: tuple(BINDING[str(size)] for size in shape) for leaf, shape in declared.items()}


def random_point(name: str, seed: int = 0, batch: tuple[int, ...] = ()) -> Point:
    """Leaves of magnitude 1.2 to 1.9, then 0.4 to 0.9, and so on, with random signs: no weight coordinate is near 0."""
    generator = torch.Generator().manual_seed(seed)
    point = {}
    for place, (leaf, shape) in enumerate(shapes(name).items()):
        low, width = (1.2, 0.7) if place % 2 == 0 else (0.4, 0.5)
        size = low + width * torch.rand((*batch, *shape), generator=generator, dtype=torch.float64)
        sign = 2 * torch.randint(0, 2, size.shape, generator=generator) - 1
        point[leaf] = size * sign
    return point


def random_tangent(name: str, seed: int, batch: tuple[int, ...] = ()) -> Point:
    generator = torch.Generator().manual_seed(seed)
    return {
        leaf: torch.randn((*batch, *shape), generator=generator, dtype=torch.float64)
        for leaf, shape in shapes(name).items()
    }


def random_algebra(name: str, seed: int, batch: tuple[int, ...] = ()) -> Point:
    """Lie algebra coordinates of moderate size, one tensor for every generator."""
    generator = torch.Generator().manual_seed(seed)
    shape = next(iter(shapes(name).values()))
    names = element_names(declaration(name).symmetries())
    return {key: 0.5 * torch.randn((*batch, *shape), generator=generator, dtype=torch.float64) for key in names}


def flatten(point: Point) -> Tensor:
    return torch.cat([leaf.reshape(-1) for leaf in point.values()])


def unflatten(vector: Tensor, name: str) -> Point:
    point, start = {}, 0
    for leaf, shape in shapes(name).items():
        count = math.prod(shape)
        point[leaf] = vector[start : start + count].reshape(shape)
        start += count
    return point


def metric_matrix(name: str, metric: str, vector: Tensor) -> Tensor:
    """Matrix of ``inner`` in the flattened coordinates, from all pairs of basis tangents in one batch."""
    basis = torch.eye(len(vector), dtype=vector.dtype)
    xi = {leaf: value[:, None] for leaf, value in _unflatten_rows(basis, name).items()}
    zeta = {leaf: value[None, :] for leaf, value in _unflatten_rows(basis, name).items()}
    return module(name, metric).inner(unflatten(vector, name), xi, zeta)


def _unflatten_rows(rows: Tensor, name: str) -> Point:
    points = [unflatten(row, name) for row in rows]
    return {leaf: torch.stack([point[leaf] for point in points]) for leaf in points[0]}


def levi_civita(name: str, metric: str, vector: Tensor, velocity: Tensor) -> Tensor:
    """Γ(ξ, ξ) from derivatives of the whole metric matrix by automatic differentiation."""
    matrix = metric_matrix(name, metric, vector)
    slopes = torch.autograd.functional.jacobian(lambda x: metric_matrix(name, metric, x), vector)
    first_kind = torch.einsum("lmk,k,l->m", slopes, velocity, velocity)
    first_kind = first_kind - torch.einsum("klm,k,l->m", slopes, velocity, velocity) / 2
    return torch.linalg.solve(matrix, first_kind)


def close(actual: Point | Tensor, expected: Point | Tensor, tolerance: float) -> bool:
    """Whether two points or tensors agree, relative to the size of the expected one (at least 1)."""
    if isinstance(actual, dict) and isinstance(expected, dict):
        assert list(actual) == list(expected)
        return all(close(actual[key], expected[key], tolerance) for key in actual)
    assert isinstance(actual, Tensor) and isinstance(expected, Tensor)
    assert actual.shape == expected.shape
    return bool((actual - expected).abs().max() <= tolerance * max(1.0, float(expected.abs().max())))
