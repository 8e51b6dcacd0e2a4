"""Christoffel symbols of the Levi-Civita connection in explicit components, stored sparsely."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, Sequence
from functools import cached_property

import sympy as sp

from symtheory.geometry.first_kind import Symbols, first_kind_symbols
from symtheory.geometry.metric_blocks import isomorphism_classes, metric_blocks
from symtheory.geometry.metric_entries import Entries, metric_entries
from symtheory.geometry.rational_connection import rational_connection
from symtheory.geometry.symbolic_connection import symbolic_connection


class ChristoffelSymbols:
    """All symbols Γ^i_kl = ½ g^{im}(∂_k g_lm + ∂_l g_km − ∂_m g_kl) of an N×N metric.

    The contravariant index comes first; the lower indices are symmetric and only k <= l is stored, and only what is
    not zero. The metric is split into blocks by its zero pattern; blocks that agree after renaming their coordinates
    in order are derived once. Cost therefore follows the size of the output, not N³.

    Args:
        metric: symmetric N×N matrix of expressions.
        coordinates: the N coordinate symbols; every other symbol is a constant.

    Raises:
        MetricError: the matrix does not fit the coordinates, is not symmetric, or is singular.
    """

    def __init__(self, metric: sp.MatrixBase, coordinates: Sequence[sp.Symbol]) -> None:
        self.coordinates: tuple[sp.Symbol, ...] = tuple(coordinates)
        self._entries = metric_entries(metric, self.coordinates)
        self._symbols = self._derive()

    def _derive(self) -> Symbols:
        blocks = metric_blocks(self._entries, self.coordinates)
        symbols: Symbols = {}
        for isomorphic in isomorphism_classes(blocks, self.coordinates):
            first = [self.coordinates[index] for index in isomorphic[0].indices]
            derived = _block_connection(isomorphic[0].entries, first)
            for block in isomorphic:
                own = [self.coordinates[index] for index in block.indices]
                renaming = {} if own == first else dict(zip(first, own, strict=True))
                for (i, k, l), value in derived.items():
                    key = block.indices[i], block.indices[k], block.indices[l]
                    symbols[key] = value.xreplace(renaming) if renaming else value
        return symbols

    def get(self, i: int, k: int, l: int) -> sp.Expr:
        """Γ^i_kl for 0 <= i, k, l < N; zero where nothing is stored. Raises IndexError outside that range."""
        size = len(self.coordinates)
        if not all(0 <= index < size for index in (i, k, l)):
            raise IndexError(f"({i}, {k}, {l}) is outside 0 … {size - 1}")
        return self._symbols.get((i, min(k, l), max(k, l)), sp.S.Zero)

    def __getitem__(self, key: tuple[int, int, int]) -> sp.Expr:
        return self.get(*key)

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        return iter(self._symbols)

    def __len__(self) -> int:
        """Number of stored symbols: nonzero, counted once for k <= l."""
        return len(self._symbols)

    def items(self) -> ItemsView[tuple[int, int, int], sp.Expr]:
        """Stored pairs ((i, k, l), Γ^i_kl) with k <= l."""
        return self._symbols.items()

    def form(self, xi: Sequence[sp.Expr]) -> tuple[sp.Expr, ...]:
        """The N components Γ^i_kl ξ^k ξ^l of the quadratic form, for N velocities xi."""
        terms: list[list[sp.Expr]] = [[] for _ in self.coordinates]
        for (i, k, l), value in self._symbols.items():
            terms[i].append((1 if k == l else 2) * value * xi[k] * xi[l])
        return tuple(sp.Add(*parts) for parts in terms)

    @cached_property
    def first_kind(self) -> Symbols:
        """Nonzero symbols of the first kind {(m, k, l): Γ_{m,kl}, k <= l}, with Γ_{m,kl} = g_mi Γ^i_kl."""
        return first_kind_symbols(self._entries, self.coordinates)

    def to_array(self) -> sp.ImmutableDenseNDimArray:
        """Dense array of shape (N, N, N), contravariant index first."""
        size = range(len(self.coordinates))
        flat = [self.get(i, k, l) for i in size for k in size for l in size]
        return sp.ImmutableDenseNDimArray(flat, (len(size),) * 3)


def _block_connection(entries: Entries, coordinates: Sequence[sp.Symbol]) -> Symbols:
    found = rational_connection(entries, coordinates)
    return symbolic_connection(entries, coordinates) if found is None else found
