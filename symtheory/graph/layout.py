"""How the axes of a tensor are split, so that a reshape into heads only regroups them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import sympy as sp

from symtheory.graph.shapes import Shape, Size, same_size


@dataclass(frozen=True)
class Layout:
    """Every axis of a tensor as a row-major product of *places*, numbered from 0 through all axes.

    axes: for each axis the sizes of its places; an axis that no reshape splits has one place.
    """

    axes: tuple[Shape, ...]

    @cached_property
    def sizes(self) -> Shape:
        """Sizes of all places: the shape of the tensor with its axes split."""
        return tuple(size for axis in self.axes for size in axis)

    @cached_property
    def shape(self) -> Shape:
        return tuple(sp.Mul(*axis) for axis in self.axes)

    @cached_property
    def _starts(self) -> tuple[int, ...]:
        return (0, *accumulate(len(axis) for axis in self.axes))

    @property
    def rank(self) -> int:
        return len(self.axes)

    def places(self, axis: int) -> range:
        """The places of an axis, counted from either end."""
        axis %= max(len(self.axes), 1)
        return range(self._starts[axis], self._starts[axis + 1])

    def axis_of(self, place: int) -> int:
        return next(axis for axis in range(len(self.axes)) if place in self.places(axis))

    def describe(self, place: int) -> str:
        """The place in words: ``axis 0``, or the part of it where a reshape splits the axis: ``axis 0 part h``."""
        axis = self.axis_of(place)
        sizes = self.axes[axis]
        if len(sizes) == 1:
            return f"axis {axis}"
        part = place - self.places(axis).start
        return f"axis {axis} part {sizes[part] if len(set(sizes)) == len(sizes) else f'{part + 1} of {len(sizes)}'}"

    def is_split(self) -> bool:
        return any(len(axis) > 1 for axis in self.axes)


Group = tuple[tuple[int, ...], tuple[int, ...]]
"""Axes of the old shape and axes of the new one that hold the same entries in the same order."""


def regroup(old: Shape, new: Shape) -> list[Group]:
    """The finest groups of a row-major reshape; axes of size 1 belong to none."""
    left = [axis for axis, size in enumerate(old) if size != 1]
    right = [axis for axis, size in enumerate(new) if size != 1]
    groups: list[Group] = []
    while left or right:
        taken_left, taken_right = [left.pop(0)] if left else [], [right.pop(0)] if right else []
        while not same_size(_product(old, taken_left), _product(new, taken_right)):
            if not left and not right:
                break
            if left and (not right or _divides(_product(old, taken_left), _product(new, taken_right))):
                taken_left.append(left.pop(0))
            else:
                taken_right.append(right.pop(0))
        groups.append((tuple(taken_left), tuple(taken_right)))
    return groups


def _product(shape: Shape, axes: Sequence[int]) -> Size:
    return sp.Mul(*(shape[axis] for axis in axes))


def _divides(small: Size, large: Size) -> bool:
    """Whether large/small is a positive integer, or a polynomial in the symbolic sizes."""
    quotient = sp.cancel(large / small)
    return bool(sp.denom(quotient) == 1 and quotient.is_positive)
