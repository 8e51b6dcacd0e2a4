"""Determinant and adjugate by Laplace expansion: no division, and structural zeros stay zero."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any


def adjugate_and_determinant(matrix: Sequence[Sequence[Any]], one: Any) -> tuple[list[list[Any]], Any]:
    """(adj(M), det(M)) of an n×n matrix over a commutative ring with unit `one`, with M · adj(M) = det(M) · 1.

    The elements may be expressions (products are left unexpanded) or polynomials. Minors are shared, so the cost of a
    dense matrix is about n² 2^n products: meant for blocks of a few coordinates, or sparse ones.
    """
    everything = tuple(range(len(matrix)))
    zero = one - one

    @cache
    def minor(rows: tuple[int, ...], columns: tuple[int, ...]) -> Any:
        if not rows:
            return one
        total = zero
        for place, column in enumerate(columns):
            entry = matrix[rows[0]][column]
            if entry != 0:
                rest = minor(rows[1:], columns[:place] + columns[place + 1 :])
                total = total - entry * rest if place % 2 else total + entry * rest
        return total

    def cofactor(i: int, j: int) -> Any:
        rows, columns = (everything[:index] + everything[index + 1 :] for index in (i, j))
        value = minor(rows, columns)
        return -value if (i + j) % 2 else value

    return [[cofactor(j, i) for j in everything] for i in everything], minor(everything, everything)
