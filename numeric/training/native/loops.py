"""Nested loops as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Lines = list[str]


def names(count: int, letter: str = "i") -> list[str]:
    """Loop variables, one for each axis."""
    return [f"{letter}{axis}" for axis in range(count)]


def nest(
    variables: Sequence[str], shape: Sequence[int], body: Iterable[str], axes: Iterable[int] | None = None
) -> Lines:
    """The body inside loops over these axes of the shape (all of them unless given), the last one innermost.

    An axis of size one has no loop, and `Operand.at` no term for it.
    """
    chosen = range(len(shape)) if axes is None else sorted(axes)
    heads = [loop(variables[axis], 0, shape[axis], 1) for axis in chosen if shape[axis] > 1]
    return [*heads, "{", *body, "}"]


def loop(variable: str, start: int, stop: int, step: int) -> str:
    """The head of one loop."""
    return f"for (Index {variable} = {start}; {variable} < {stop}; {variable} += {step})"
