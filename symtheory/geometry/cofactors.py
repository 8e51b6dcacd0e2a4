"""Determinant and adjugate of a matrix of expressions by Laplace expansion, without expanding products."""

from __future__ import annotations

from functools import cache

import sympy as sp


def adjugate_and_determinant(matrix: sp.MatrixBase) -> tuple[sp.Matrix, sp.Expr]:
    """(adj(M), det(M)) of an n×n matrix, with M · adj(M) = det(M) · 1; structural zeros stay zero.

    Minors are shared, so the cost is n 2^n products for each of n rows: meant for blocks of a few coordinates.
    """
    size = matrix.rows

    @cache
    def minor(rows: tuple[int, ...], columns: tuple[int, ...]) -> sp.Expr:
        if not rows:
            return sp.S.One
        first, rest = rows[0], rows[1:]
        terms = []
        for place, column in enumerate(columns):
            entry = matrix[first, column]
            if entry != 0:
                remaining = columns[:place] + columns[place + 1 :]
                terms.append((-1) ** place * entry * minor(rest, remaining))
        return sp.Add(*terms)

    everything = tuple(range(size))

    def cofactor(i: int, j: int) -> sp.Expr:
        rows, columns = (everything[:index] + everything[index + 1 :] for index in (i, j))
        return (-1) ** (i + j) * minor(rows, columns)

    return sp.Matrix(size, size, lambda i, j: cofactor(j, i)), minor(everything, everything)
