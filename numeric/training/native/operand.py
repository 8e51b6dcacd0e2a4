"""Where the entries of a tensor lie in the generated code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Operand:
    """A strided view of an array of the generated code.

    array: its name. lanes: whether an entry is a vector over replicas, or one number for all of them. offset, shape,
    strides: as in torch, counted in entries.
    """

    array: str
    lanes: bool
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def at(self, index: Sequence[str]) -> str:
        """The entry as a vector; index: one C++ expression an axis."""
        terms = [str(self.offset)] if self.offset else []
        terms += [
            name if stride == 1 else f"{name} * {stride}"
            for name, size, stride in zip(index, self.shape, self.strides, strict=True)
            if size > 1 and stride != 0 and name != "0"
        ]
        entry = f"{self.array}[{' + '.join(terms) or '0'}]"
        return entry if self.lanes else f"spread({entry})"

    def flipped(self, axes: Sequence[int]) -> Operand:
        """The view with these axes reversed."""
        ends = sum((self.shape[axis] - 1) * self.strides[axis] for axis in axes)
        strides = list(self.strides)
        for axis in axes:
            strides[axis] = -strides[axis]
        return replace(self, offset=self.offset + ends, strides=tuple(strides))
