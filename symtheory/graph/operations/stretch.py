"""Broadcasting: which places of an operand are which of the result, and along which of them it is stretched."""

from __future__ import annotations

from symtheory.graph.layout import Layout
from symtheory.graph.shapes import Shape


def aligned_places(operand: Layout, result: Layout) -> dict[int, int]:
    """Place of the operand → place of the result; axes of size 1 that are stretched have none."""
    return {
        old: new
        for axis in range(result.rank)
        if len(operand.axes[axis]) == len(result.axes[axis])
        for old, new in zip(operand.places(axis), result.places(axis), strict=True)
    }


def stretched_places(operand: Layout, result: Layout) -> frozenset[int]:
    """Places of the result along which the operand is constant, because broadcasting stretches it there."""
    return frozenset(
        place
        for axis in range(result.rank)
        if operand.shape[axis] == 1 and result.shape[axis] != 1
        for place in result.places(axis)
    )


def gathered(source: str, operand: Shape, result: Shape) -> str:
    """Torch source of a tensor of the result's shape, summed over the axes along which the operand was stretched."""
    axes = tuple(axis for axis in range(-len(operand), 0) if operand[axis] == 1 and result[axis] != 1)
    return f"{enclosed(source)}.sum(dim={axes}, keepdim=True)" if axes else source


def enclosed(source: str) -> str:
    """The source in brackets unless it is a name, so that a method can be called on it."""
    return source if source.isidentifier() else f"({source})"
