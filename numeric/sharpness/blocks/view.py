"""Where a declared parameter stands among a module's: reading it, and writing it back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from numeric.errors import OptionError
from numeric.sharpness.parameters import Point


class Step(Protocol):
    """An invertible rearrangement of a tensor's entries."""

    def read(self, tensor: Tensor) -> Tensor: ...

    def write(self, tensor: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Split:
    """An axis of length parts · k seen as two, (parts, k)."""

    axis: int
    parts: int

    def read(self, tensor: Tensor) -> Tensor:
        return tensor.unflatten(self.axis, (self.parts, -1))

    def write(self, tensor: Tensor) -> Tensor:
        return tensor.flatten(self.axis, self.axis + 1)


@dataclass(frozen=True)
class Permute:
    """The axes in another order."""

    axes: tuple[int, ...]

    def read(self, tensor: Tensor) -> Tensor:
        return tensor.permute(self.axes)

    def write(self, tensor: Tensor) -> Tensor:
        return tensor.permute(tuple(self.axes.index(axis) for axis in range(len(self.axes))))


@dataclass(frozen=True)
class Transpose:
    """The last two axes exchanged."""

    def read(self, tensor: Tensor) -> Tensor:
        return tensor.mT

    def write(self, tensor: Tensor) -> Tensor:
        return tensor.mT


@dataclass(frozen=True)
class Flatten:
    """The axes from the second on seen as one of length Π sizes: a convolution's kernel as a matrix."""

    sizes: tuple[int, ...]

    def read(self, tensor: Tensor) -> Tensor:
        return tensor.flatten(1)

    def write(self, tensor: Tensor) -> Tensor:
        return tensor.unflatten(1, self.sizes)


@dataclass(frozen=True)
class View:
    """A declared parameter as a part of a module's parameter `name`, its entries rearranged.

    Written as a chain: ``View("attn.in_proj_weight").rows(0, 64).split(0, heads).T`` reads the first 64 rows, seen as
    (heads, 64/heads, d), with the last two axes exchanged. rows, columns: which part of a matrix's (a vector's) first
    and second axis, all if None.
    """

    name: str
    part: tuple[tuple[int, int] | None, tuple[int, int] | None] = (None, None)
    steps: tuple[Step, ...] = ()

    def rows(self, start: int, stop: int) -> View:
        """The rows (a vector's entries) from start to stop; before any rearrangement."""
        return self._cut(((start, stop), self.part[1]))

    def columns(self, start: int, stop: int) -> View:
        """The columns from start to stop; before any rearrangement."""
        return self._cut((self.part[0], (start, stop)))

    def split(self, axis: int, parts: int) -> View:
        """An axis of length parts · k as two, (parts, k)."""
        return self._then(Split(axis, parts))

    def permute(self, *axes: int) -> View:
        """The axes in this order."""
        return self._then(Permute(axes))

    def flatten(self, *sizes: int) -> View:
        """All axes but the first, of these sizes, as one."""
        return self._then(Flatten(sizes))

    @property
    def T(self) -> View:
        """The last two axes exchanged."""
        return self._then(Transpose())

    def _cut(self, part: tuple[tuple[int, int] | None, tuple[int, int] | None]) -> View:
        if self.steps:
            raise OptionError(f"the view of '{self.name}' cuts after it rearranges: call rows and columns first")
        return replace(self, part=part)

    def _then(self, step: Step) -> View:
        return replace(self, steps=(*self.steps, step))

    def region(self, tensor: Tensor) -> Tensor:
        """The part of the module's parameter that the view sees, as a view of it."""
        for axis, cut in enumerate(self.part):
            if cut is not None:
                tensor = tensor.narrow(axis, cut[0], cut[1] - cut[0])
        return tensor

    def read(self, point: Mapping[str, Tensor]) -> Tensor:
        """The declared parameter's value."""
        value = self.region(point[self.name])
        for step in self.steps:
            value = step.read(value)
        return value

    def write(self, point: Point, value: Tensor) -> None:
        """Put the declared parameter's value into `point`, whose tensor is replaced and not changed."""
        for step in reversed(self.steps):
            value = step.write(value)
        point[self.name] = self._placed(point[self.name], value)

    def _placed(self, whole: Tensor, value: Tensor) -> Tensor:
        rows, columns = self.part
        if columns is not None:
            value = torch.slice_scatter(whole if rows is None else whole.narrow(0, *_span(rows)), value, 1, *columns)
        return value if rows is None else torch.slice_scatter(whole, value, 0, *rows)


@dataclass(frozen=True)
class Absent:
    """A declared parameter that the module lacks, such as a bias: read as zeros of this shape, never written."""

    shape: tuple[int, ...]

    def read(self, point: Mapping[str, Tensor]) -> Tensor:
        return next(iter(point.values())).new_zeros(self.shape)

    def write(self, point: Point, value: Tensor) -> None:
        """Nothing to write: what uses it keeps it at zero."""


def _span(cut: tuple[int, int]) -> tuple[int, int]:
    return cut[0], cut[1] - cut[0]
