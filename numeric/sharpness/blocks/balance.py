"""The gauge in which both sides of every change of basis are equally large: well conditioned in float32."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType

import torch
from torch import Tensor

from numeric.sharpness.blocks.elements import identity_element, random_element
from numeric.sharpness.parameters import Point


def balanced(functions: ModuleType, point: Point) -> Point:
    """A point of the same orbit at which Σ PᵀP over the sites of a group element equals that over the opposite sites.

    point: leaves (copies, *shape) in float64. For P ↦ P g⁻¹ and M ↦ g M gᵀ of the Gram matrices this is
    P = X M X with X = gᵀg, so g is the root of the geometric mean of P and M⁻¹; for numbers g⁴ = P/M. Factors of other
    kinds, and with all sites on one side, are left as they are.
    """
    element = identity_element(functions, random_element(functions, point, 1.0, 0.0, _generator()), "")
    for name, sites in functions.SITES.items():
        kind, shape = functions.GROUP[name]
        if {exponent for _, exponent in sites.values()} == {-1, 1} and kind in ("GL", "rescaling"):
            contragredient, covariant = (_gram(point, sites, exponent, kind, len(shape)) for exponent in (-1, 1))
            element[name] = _MEANS[kind](contragredient, covariant).to(next(iter(point.values())).dtype)
    found: Point = functions.act(point, element)
    return found


def _gram(point: Point, sites: Mapping[str, tuple[int, int]], exponent: int, kind: str, axes: int) -> Tensor:
    """Σ PᵀP over the sites of an exponent, for every copy; of numbers its diagonal."""
    total: Tensor | float = 0.0
    for name, (axis, own) in sites.items():
        if own == exponent:
            lead = axes - 1 if kind == "GL" else 1  # the copies of the block, and those of the element
            rows = point[name].movedim(axis + 1, -1)
            rows = rows.reshape(*rows.shape[:lead], -1, rows.shape[-1])
            total = total + (rows.mT @ rows if kind == "GL" else rows.square().sum(-2))
    assert isinstance(total, Tensor)  # both exponents occur
    return total


def _mean_of_matrices(contragredient: Tensor, covariant: Tensor) -> Tensor:
    """g = X^½ with X = M^{-½} (M^½ P M^½)^½ M^{-½}: symmetric, X M X = P."""
    root, inverse_root = _power(covariant, 0.5), _power(covariant, -0.5)
    return _power(inverse_root @ _power(root @ contragredient @ root, 0.5) @ inverse_root, 0.5)


def _power(matrix: Tensor, exponent: float) -> Tensor:
    values, vectors = torch.linalg.eigh((matrix + matrix.mT) / 2)
    floor = values[..., -1:] * torch.finfo(values.dtype).eps
    return (vectors * values.clamp_min(floor).pow(exponent)[..., None, :]) @ vectors.mT


def _mean_of_numbers(contragredient: Tensor, covariant: Tensor) -> Tensor:
    return (contragredient / covariant).pow(0.25)


_MEANS = {"GL": _mean_of_matrices, "rescaling": _mean_of_numbers}


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)
