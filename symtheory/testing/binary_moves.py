"""Operations that join two terms: products, sums, convolutions. The partner is one that is there, or a fresh leaf."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import prod

import symtheory.graph.functions as st
from symtheory.graph.node import Node
from symtheory.testing.declared_function import bound_shape
from symtheory.testing.term import Term
from symtheory.testing.unary_moves import LARGEST_RANK, LARGEST_VALUE

Sizes = tuple[int, ...]
LARGEST_SIZE, LARGEST_COUNT = 3, 36
"""Sizes that a fresh leaf brings along, and entries that a term may have."""


@dataclass(frozen=True)
class BinaryMove:
    """shapes: those that a fresh partner may have; fits: whether a term that is there can be the partner; join."""

    shapes: Callable[[Sizes], Iterator[Sizes]]
    fits: Callable[[Term, Term], bool]
    join: Callable[[Term, Term], Term]

    def admits(self, a: Term, b: Term) -> bool:
        """Whether the partner fits and the result stays small."""
        if not self.fits(a, b):
            return False
        result = self.join(a, b)
        return (
            result.bound <= LARGEST_VALUE and prod(result.shape) <= LARGEST_COUNT and len(result.shape) <= LARGEST_RANK
        )


def _sizes() -> range:
    return range(1, LARGEST_SIZE + 1)


# Sums and products entry by entry.


def _stretchable(shape: Sizes) -> Iterator[Sizes]:
    """The shape itself, a bias along the last axes, a number, and one number for each row."""
    yield from (shape[start:] for start in range(len(shape) + 1))
    if len(shape) > 1 and shape[-1] != 1:
        yield (*shape[:-1], 1)


def _broadcasts(a: Term, b: Term) -> bool:
    pairs = zip(reversed(a.shape), reversed(b.shape), strict=False)
    return all(left == right or 1 in (left, right) for left, right in pairs)


def _is_another(a: Term, b: Term) -> bool:
    return a is not b and _broadcasts(a, b)


def _facts(a: Term, b: Term) -> dict[str, bool]:
    return {"moves": a.moves or b.moves, "alive": a.alive and b.alive, "related": a.related and b.related}


def _add(a: Term, b: Term) -> Term:
    return _sum(a, b, a.node + b.node)


def _subtract(a: Term, b: Term) -> Term:
    # No sum of these terms is 3/7 of another, so that nothing cancels for good.
    return _sum(a, b, a.node - Fraction(3, 7) * b.node)


def _sum(a: Term, b: Term, node: Node) -> Term:
    """Where one term is all zeros the other is left, and is the same all along an axis that it is stretched on."""
    shape = bound_shape(node.shape)
    alive = (a.alive and b.alive) or any(term.alive and term.shape == shape for term in (a, b))
    return a.into(node, a.bound + b.bound, **{**_facts(a, b), "alive": alive})


def _multiply(a: Term, b: Term) -> Term:
    return a.into(a.node * b.node, a.bound * b.bound, low=a.low * b.low, **_facts(a, b))


# Products of matrices, with the partner on either side, as it is or transposed.


def _right_partners(shape: Sizes) -> Iterator[Sizes]:
    if shape:
        yield (shape[-1],)
        yield from ((shape[-1], size) for size in _sizes())
        if len(shape) == 3:
            yield from ((shape[0], shape[-1], size) for size in _sizes())


def _left_partners(shape: Sizes) -> Iterator[Sizes]:
    if shape:
        inner = shape[-2:][0]
        yield (inner,)
        yield from ((size, inner) for size in _sizes())
        if len(shape) == 3:
            yield from ((shape[0], size, inner) for size in _sizes())


def _transposed_partners(shape: Sizes) -> Iterator[Sizes]:
    yield from ((*sizes[:-2], sizes[-1], sizes[-2]) for sizes in _right_partners(shape) if len(sizes) > 1)


def _multiplies(left: Sizes, right: Sizes) -> bool:
    if not left or not right or left[-1] != right[-2:][0]:
        return False
    if len(left) <= 2 or len(right) <= 2:
        return True
    stacks = zip(left[:-2], right[:-2], strict=False)
    return len(left) == len(right) and all(a == b or 1 in (a, b) for a, b in stacks)


def _swapped(shape: Sizes) -> Sizes:
    return (*shape[:-2], shape[-1], shape[-2])


def _product(a: Term, b: Term, left: Term, right: Term, transposed: bool = False) -> Term:
    node = left.node @ (right.node.T if transposed else right.node)
    return a.into(node, a.bound * b.bound * left.shape[-1], **_facts(a, b))


# Convolutions, the term as the kernel or as what is convolved.


def _convolved(kernel: Sizes) -> Iterator[Sizes]:
    if len(kernel) == 3:
        yield from ((kernel[1], kernel[2] + more) for more in (0, 1))


def _kernels(x: Sizes) -> Iterator[Sizes]:
    if len(x) == 2:
        yield from ((filters, x[0], size) for filters in (1, 2) for size in range(1, x[1] + 1))


def _convolves(kernel: Term, x: Term) -> bool:
    k, z = kernel.shape, x.shape
    return len(k) == 3 and len(z) == 2 and k[1] == z[0] and k[2] <= z[1]


def _conv(a: Term, b: Term, kernel: Term, x: Term) -> Term:
    return a.into(st.conv(kernel.node, x.node), a.bound * b.bound * kernel.shape[1] * kernel.shape[2], **_facts(a, b))


BINARY_MOVES = (
    BinaryMove(_stretchable, _broadcasts, _multiply),
    BinaryMove(_stretchable, _broadcasts, _add),
    BinaryMove(_stretchable, _is_another, _subtract),
    BinaryMove(_right_partners, lambda a, b: _multiplies(a.shape, b.shape), lambda a, b: _product(a, b, a, b)),
    BinaryMove(_left_partners, lambda a, b: _multiplies(b.shape, a.shape), lambda a, b: _product(a, b, b, a)),
    BinaryMove(
        _transposed_partners,
        lambda a, b: len(b.shape) > 1 and _multiplies(a.shape, _swapped(b.shape)),
        lambda a, b: _product(a, b, a, b, transposed=True),
    ),
    BinaryMove(_convolved, _convolves, lambda a, b: _conv(a, b, a, b)),
    BinaryMove(_kernels, lambda a, b: _convolves(b, a), lambda a, b: _conv(a, b, b, a)),
)
