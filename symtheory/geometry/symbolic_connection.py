"""Christoffel symbols of one block with entries of any kind, as plain expressions and without simplification."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Sequence

import sympy as sp

from symtheory.geometry.cofactors import adjugate_and_determinant
from symtheory.geometry.first_kind import Symbols, first_kind_symbols
from symtheory.geometry.metric_blocks import connected_components
from symtheory.geometry.metric_entries import Entries, singular_block
from symtheory.geometry.vanishes import vanishes


def symbolic_connection(
    entries: Entries, coordinates: Sequence[sp.Symbol], support: Container[tuple[int, int, int]] | None = None
) -> Symbols:
    """Symbols {(i, k, l): Γ^i_kl, k <= l} of one block; `support` names the nonzero ones where they are known.

    Raises MetricError when the block is singular.
    """
    first = first_kind_symbols(entries, coordinates)
    inverse = _inverse(entries, coordinates)
    terms: dict[tuple[int, int, int], list[sp.Expr]] = defaultdict(list)
    for (m, k, l), value in first.items():
        for i, factor in inverse[m].items():
            terms[i, k, l].append(factor * value)
    sums = {key: sp.Add(*parts) for key, parts in terms.items()}
    if support is not None:
        return {key: value for key, value in sums.items() if key in support}
    return {key: value for key, value in sums.items() if not vanishes(value)}


def _inverse(entries: Entries, coordinates: Sequence[sp.Symbol]) -> dict[int, dict[int, sp.Expr]]:
    """Nonzero entries of the inverse metric, row by row, component by component."""
    inverse: dict[int, dict[int, sp.Expr]] = {}
    for members in connected_components(len(coordinates), entries):
        block = [[entries.get((min(i, j), max(i, j)), sp.S.Zero) for j in members] for i in members]
        adjugate, determinant = adjugate_and_determinant(block, sp.S.One)
        if vanishes(determinant):
            raise singular_block(coordinates[index] for index in members)
        for row, i in enumerate(members):
            inverse[i] = {j: value / determinant for j, value in zip(members, adjugate[row], strict=True) if value != 0}
    return inverse
