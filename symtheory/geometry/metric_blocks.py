"""Blocks of a metric: coordinates tied together by a nonzero entry or by what an entry depends on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import sympy as sp
from sympy.utilities import iterables

from symtheory.geometry.metric_entries import Entries


@dataclass(frozen=True)
class MetricBlock:
    """One block: the positions of its coordinates, and its entries numbered within the block.

    The Levi-Civita connection never mixes two blocks, so each is derived alone.
    """

    indices: tuple[int, ...]
    entries: Entries


def connected_components(size: int, edges: Iterable[tuple[int, int]]) -> list[tuple[int, ...]]:
    """Components of the graph on 0 … size-1, each sorted, in order of their first member."""
    both = [pair for a, b in edges for pair in ((a, b), (b, a))]
    return sorted(tuple(sorted(component)) for component in iterables.connected_components((range(size), both)))


def metric_blocks(entries: Entries, coordinates: Sequence[sp.Symbol]) -> list[MetricBlock]:
    """Split a metric into blocks; each metric entry depends on coordinates of its own block only."""
    position = {coordinate: index for index, coordinate in enumerate(coordinates)}
    edges = []
    for (i, j), value in entries.items():
        edges.append((i, j))
        edges.extend((i, position[s]) for s in value.free_symbols if s in position)
    components = connected_components(len(coordinates), edges)
    home = {index: (number, place) for number, block in enumerate(components) for place, index in enumerate(block)}
    local: list[Entries] = [{} for _ in components]
    for (i, j), value in entries.items():
        number, place = home[i]
        local[number][place, home[j][1]] = value
    return [MetricBlock(indices, found) for indices, found in zip(components, local, strict=True)]


def isomorphism_classes(blocks: Iterable[MetricBlock], coordinates: Sequence[sp.Symbol]) -> list[list[MetricBlock]]:
    """Group blocks that become equal when their coordinates are renamed in order, assumptions included."""
    placeholders: dict[object, sp.Dummy] = {}
    classes: dict[object, list[MetricBlock]] = {}
    for block in blocks:
        own = [coordinates[index] for index in block.indices]
        renamed = tuple(_placeholder(placeholders, place, symbol) for place, symbol in enumerate(own))
        renaming = dict(zip(own, renamed, strict=True))
        entries = frozenset((key, value.xreplace(renaming)) for key, value in block.entries.items())
        classes.setdefault((renamed, entries), []).append(block)
    return list(classes.values())


def _placeholder(placeholders: dict[object, sp.Dummy], place: int, symbol: sp.Symbol) -> sp.Dummy:
    # Assumptions are part of the key: sqrt(x²) is x for a positive symbol and |x| for a real one.
    assumptions = symbol.assumptions0
    key = (place, frozenset(assumptions.items()))
    if key not in placeholders:
        placeholders[key] = sp.Dummy(f"x{place}", **assumptions)
    return placeholders[key]
