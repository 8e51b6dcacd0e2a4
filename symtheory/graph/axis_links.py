"""Which axes of operands and results are one and the same index, as an operation tells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from symtheory.graph.shapes import Shape, same_size

RESULT = -1


class End(NamedTuple):
    """An axis (from 0) of an operand, or of the result (``RESULT``)."""

    operand: int
    axis: int


class Link(NamedTuple):
    """Axes that hold the same entries in the same order: one each, or one axis and the axes that a reshape makes of
    it."""

    left: tuple[End, ...]
    right: tuple[End, ...]


def link(left: End, right: End) -> Link:
    """Two axes that are one index."""
    return Link((left,), (right,))


def same_axes(shapes: Sequence[Shape], result: Shape) -> Iterator[Link]:
    """Every axis of an operand with the axis of the result at its place, where broadcasting does not stretch it."""
    for operand, shape in enumerate(shapes):
        for axis, size in enumerate(shape):
            if size != 1 and same_size(size, result[axis]):
                yield link(End(operand, axis), End(RESULT, axis))
