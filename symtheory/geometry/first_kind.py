"""Christoffel symbols of the first kind; they exist for singular metrics too and need no inverse."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import sympy as sp

from symtheory.geometry.metric_entries import Entries
from symtheory.geometry.vanishes import vanishes

Symbols = dict[tuple[int, int, int], sp.Expr]


def first_kind_symbols(entries: Entries, coordinates: Sequence[sp.Symbol]) -> Symbols:
    """Nonzero {(m, k, l): Γ_{m,kl}, k <= l} with Γ_{m,kl} = ½(∂_k g_lm + ∂_l g_km − ∂_m g_kl)."""
    position = {coordinate: index for index, coordinate in enumerate(coordinates)}
    terms: dict[tuple[int, int, int], list[sp.Expr]] = defaultdict(list)
    for (i, j), value in entries.items():
        for symbol in value.free_symbols:
            k = position.get(symbol)
            if k is None:
                continue
            half = sp.diff(value, symbol) / 2
            terms[k, i, j].append(-half)
            for lower, free in {(i, j), (j, i)}:
                terms[lower, min(k, free), max(k, free)].append(2 * half if k == free else half)
    sums = {key: sp.Add(*parts) for key, parts in terms.items()}
    return {key: value for key, value in sums.items() if not vanishes(value)}
