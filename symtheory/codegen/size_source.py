"""Torch source that reads the values of symbolic sizes off the tensors that have them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import sympy as sp

from symtheory.errors import CodegenError
from symtheory.graph.shapes import Shape

Axis = tuple[sp.Expr, str]
"""The size of an axis, and the source that reads it."""


def axes_of(sources: Mapping[str, Shape]) -> list[Axis]:
    """All axes of tensors, given as source → shape."""
    return [
        (size, f"{source}.shape[{axis}]")
        for source, shape in sources.items()
        for axis, size in enumerate(shape, -len(shape))
    ]


def size_lines(needed: Iterable[sp.Symbol], axes: Sequence[Axis], owner: str) -> list[str]:
    """Statements that give every needed size its value, each off the first axis that tells it.

    Raises ``CodegenError``, naming the owner, for a size that no axis tells.
    """
    lines: list[str] = []
    known: set[sp.Symbol] = set()
    while wanted := sorted(set(needed) - known, key=str):
        size, source = _readable_size(wanted, axes, known, owner)
        lines.append(f"{size} = {source}")
        known.add(size)
    return lines


def _readable_size(
    wanted: Sequence[sp.Symbol], axes: Sequence[Axis], known: set[sp.Symbol], owner: str
) -> tuple[sp.Symbol, str]:
    """A size that an axis has, or has times sizes that are known already, and the source that reads it."""
    for size in wanted:
        for whole, source in axes:
            rest = sp.cancel(whole / size)
            if rest == 1:
                return size, source
            if size in whole.free_symbols and size not in rest.free_symbols and rest.free_symbols <= known:
                return size, f"{source} // ({rest})"
    raise CodegenError(
        f"no axis of an array tells the size '{wanted[0]}' of '{owner}' by itself: bind({wanted[0]}=…) first"
    )
