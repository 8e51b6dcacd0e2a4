"""Sizes of declared shapes: integers, or names that a starting point or the data bind."""

from __future__ import annotations

from collections.abc import Mapping

from numeric.errors import SizeError

Shape = tuple[int | str, ...]


def bind_shape(owner: str, declared: Shape, actual: tuple[int, ...], sizes: Mapping[str, int]) -> dict[str, int]:
    """Match a declared shape with an actual one; return `sizes` together with the names bound on the way.

    Raises SizeError, naming `owner` and both shapes, where the two do not fit or a name would get a second
    value.
    """
    bound = dict(sizes)
    if len(declared) != len(actual):
        raise SizeError(f"{owner} has shape {actual}, but {describe(declared)} was declared")
    for size, length in zip(declared, actual, strict=True):
        expected = bound.setdefault(size, length) if isinstance(size, str) else size
        if expected != length:
            known = f" with {size} = {expected}" if isinstance(size, str) else ""
            raise SizeError(f"{owner} has shape {actual}, but {describe(declared)}{known} was declared")
    return bound


def bound_shape(owner: str, declared: Shape, remedy: str) -> tuple[int, ...]:
    """The declared shape in integers. Raises SizeError, naming `owner` and the remedy, for a size without a value.

    remedy: what to do, with "{size}" where the name of the size belongs.
    """
    sizes: list[int] = []
    for size in declared:
        if isinstance(size, str):
            raise SizeError(f"{owner} has the unbound size {size!r}: {remedy.format(size=size)}")
        sizes.append(size)
    return tuple(sizes)


def describe(shape: Shape) -> str:
    """A declared shape as text, e.g. "(d, 3)"."""
    inner = ", ".join(str(size) for size in shape)
    return f"({inner},)" if len(shape) == 1 else f"({inner})"
