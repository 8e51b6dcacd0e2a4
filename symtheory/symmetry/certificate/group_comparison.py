"""A group against all affine symmetries: what it misses, and what of it is no symmetry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from symtheory.symmetry.certificate.affine_family import AffineFamily
from symtheory.symmetry.certificate.field_space import Ranks, outside


@dataclass(frozen=True)
class GroupComparison:
    """affine_dimension: of the affine symmetries, products of a translation and a linear function counted only where
    the group has them; products: the others; missed: fields outside the group (count, D, D + 1); refuted: names."""

    affine_dimension: int
    products: int
    missed: np.ndarray
    refuted: tuple[str, ...]


def compare_group(family: AffineFamily, factors: Mapping[str, np.ndarray], ranks: Ranks) -> GroupComparison:
    """factors: name → fields (count, D, D + 1) of a basis of its Lie algebra."""
    basis, rank = family.basis(), ranks.of_scaled
    given = family.scaled(np.concatenate([basis[:0], *factors.values()]))
    reduced = family.without_products(given)
    found, group = np.split(_coordinates(np.concatenate([basis, reduced]), family), [len(basis)])
    parts = np.split(group, np.cumsum([len(fields) for fields in factors.values()]))
    refuted = [
        name for name, part in zip(factors, parts, strict=False) if rank(np.concatenate([found, part])) > len(found)
    ]
    own_products = rank(_coordinates(given, family)) - rank(group)
    return GroupComparison(
        len(basis) + own_products,
        family.products - own_products,
        basis[outside(group, found, rank)],
        tuple(refuted),
    )


def _coordinates(fields: np.ndarray, family: AffineFamily) -> np.ndarray:
    """The fields as rows of length about their number, with the same linear relations."""
    return family.arithmetic.compressed(fields.reshape(len(fields), int(np.prod(fields.shape[1:]))))
