"""Operations of torch that are more than entry by entry → their loops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Protocol

from torch import Tensor

from numeric.training.native import operations
from numeric.training.native.loops import Lines
from numeric.training.native.operand import Operand
from numeric.training.native.pointwise import literal


class Places(Protocol):
    """Knows where the generated code finds a tensor."""

    def operand(self, tensor: Tensor) -> Operand:
        """The tensor as a view of an array."""


Writer = Callable[..., Lines | None]
"""(places, result, *the operation's arguments) → loops, or None for arguments that it cannot write."""


def _over(out: Tensor, value: Tensor, dims: Sequence[int] | None, keepdim: bool) -> tuple[Tensor, list[int]]:
    """The result of a reduction as a view of the shape of the value, and the axes that it has lost."""
    axes = sorted({dim % value.ndim for dim in (dims or range(value.ndim))})
    for axis in axes if not keepdim else []:
        out = out.unsqueeze(axis)
    return out.expand(value.shape), axes


def _reduction(start: str, update: str, *, mean: bool = False) -> Writer:
    def write(
        places: Places, out: Tensor, value: Tensor, dims: Sequence[int] | None = None, keepdim: bool = False
    ) -> Lines:
        wide, axes = _over(out, value, dims, keepdim)
        scale = f" / {literal(prod(value.shape[axis] for axis in axes))}" if mean else ""
        return operations.reduce(places.operand(wide), places.operand(value), axes, start, update, scale)

    return write


def _variance(
    places: Places,
    out: Tensor,
    value: Tensor,
    dims: Sequence[int] | None = None,
    *,
    correction: float | None = None,
    keepdim: bool = False,
) -> Lines:
    wide, axes = _over(out, value, dims, keepdim)
    count = prod(value.shape[axis] for axis in axes)
    divisor = literal(count - (1 if correction is None else correction))
    return operations.variance(places.operand(wide), places.operand(value), axes, literal(count), divisor)


def _softmax(places: Places, out: Tensor, value: Tensor, dim: int, half_to_float: bool) -> Lines:
    return operations.softmax(places.operand(out), places.operand(value), dim % value.ndim)


def _cumsum(places: Places, out: Tensor, value: Tensor, dim: int) -> Lines:
    return operations.cumulative_sum(places.operand(out), places.operand(value), dim % value.ndim)


def _flip(places: Places, out: Tensor, value: Tensor, dims: Sequence[int]) -> Lines:
    flipped = places.operand(value).flipped([dim % value.ndim for dim in dims])
    return operations.assign(places.operand(out), "{0}", [flipped])


def _cat(places: Places, out: Tensor, parts: Sequence[Tensor], dim: int = 0) -> Lines:
    lines: Lines = []
    start = 0
    for part in parts:
        target = places.operand(out.narrow(dim, start, part.shape[dim]))
        lines += operations.assign(target, "{0}", [places.operand(part)])
        start += part.shape[dim]
    return lines


def _stack(places: Places, out: Tensor, parts: Sequence[Tensor], dim: int = 0) -> Lines:
    return _cat(places, out, [part.unsqueeze(dim) for part in parts], dim)


def _product(places: Places, out: Tensor, left: Tensor, right: Tensor) -> Lines:
    """Matrices or batches of them."""
    batched = [each if each.ndim == 3 else each.unsqueeze(0) for each in (out, left, right)]
    return operations.matrix_product(*(places.operand(each) for each in batched))


WRITERS: dict[str, Writer] = {
    "sum": _reduction("zero", "{total} += {value};"),
    "mean": _reduction("zero", "{total} += {value};", mean=True),
    "amax": _reduction(
        "spread(-INFINITY)", "{total} = ({value} > {total}) | ({value} != {value}) ? {value} : {total};"
    ),
    "var": _variance,
    "_softmax": _softmax,
    "cumsum": _cumsum,
    "flip": _flip,
    "cat": _cat,
    "stack": _stack,
    "mm": _product,
    "bmm": _product,
}
