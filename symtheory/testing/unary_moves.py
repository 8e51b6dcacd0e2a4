"""Operations on one term from which random graphs are made, the plain ones first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import exp, sqrt

import symtheory.graph.functions as st
from symtheory.graph.node import Node
from symtheory.testing.hypothesis_extra import strategies as hs
from symtheory.testing.term import Term

LARGEST_VALUE = 1e4
"""Terms may grow to this, by the crude bound; what is larger is not made."""
LARGEST_ARGUMENT, LARGEST_EXPONENT = 64.0, 8.0
"""Bounds for what enters a saturating function, and the exponential."""
LARGEST_RANK = 4


@dataclass(frozen=True)
class UnaryMove:
    """build: the new term; applies: to which terms; kinked, exact: whether it has kinks, and whether it is rational or
    piecewise linear."""

    build: Callable[[hs.DrawFn, Term], Term]
    applies: Callable[[Term], bool]
    kinked: bool = False
    exact: bool = True

    def is_allowed(self, term: Term, smooth: bool, exact: bool) -> bool:
        """Whether it applies to a term and has the properties asked for."""
        return not (smooth and self.kinked) and not (exact and not self.exact) and self.applies(term)


def _shifted(draw: hs.DrawFn, a: Term) -> Term:
    return a.into(a.node / 3 + 1, a.bound / 3 + 1, related=False)


def _power(exponent: int, draw: hs.DrawFn, a: Term) -> Term:
    return a.into(a.node**exponent, a.bound**exponent, low=a.low**exponent)


def _inverse(draw: hs.DrawFn, a: Term) -> Term:
    return a.into(a.node**-1, 1 / a.low, low=1 / a.bound)


def _sum(draw: hs.DrawFn, a: Term) -> Term:
    axis = draw(hs.integers(0, len(a.shape) - 1))
    return a.into(a.node.sum(axis), a.bound * a.shape[axis])


def _permuted(draw: hs.DrawFn, a: Term) -> Term:
    axes = draw(hs.permutations(range(len(a.shape))))
    return a.into(a.node.transpose(*axes), low=a.low)


def _merged(draw: hs.DrawFn, a: Term) -> Term:
    axis = draw(hs.integers(0, len(a.shape) - 2))
    sizes = (*a.shape[:axis], a.shape[axis] * a.shape[axis + 1], *a.shape[axis + 2 :])
    return a.into(a.node.reshape(*sizes), low=a.low)


def _split(draw: hs.DrawFn, a: Term) -> Term:
    """An axis as two, the first of which divides it."""
    axis = draw(hs.integers(0, len(a.shape) - 1))
    size = a.shape[axis]
    first = draw(hs.sampled_from([divisor for divisor in range(1, size + 1) if size % divisor == 0][::-1]))
    return a.into(a.node.reshape(*a.shape[:axis], first, size // first, *a.shape[axis + 1 :]), low=a.low)


def _cumsum(draw: hs.DrawFn, a: Term) -> Term:
    return a.into(st.cumsum(a.node), a.bound * a.shape[-1])


def _windows(draw: hs.DrawFn, a: Term) -> Term:
    axis = draw(hs.integers(0, len(a.shape) - 1))
    return a.into(st.windows(a.node, draw(hs.integers(1, a.shape[axis])), axis), low=a.low)


def _relu(draw: hs.DrawFn, a: Term) -> Term:
    return a.into(st.relu(a.node), alive=False)


def _kinked(function: Callable[[Node], Node], slope: float, draw: hs.DrawFn, a: Term) -> Term:
    return a.into(function(a.node), low=a.low * slope)


def _saturating(function: Callable[[Node], Node], bound: float, draw: hs.DrawFn, a: Term) -> Term:
    return a.into(function(a.node), bound)


def _gated(function: Callable[[Node], Node], draw: hs.DrawFn, a: Term) -> Term:
    return a.into(function(a.node), alive=False)  # far below zero it vanishes up to rounding


def _exp(draw: hs.DrawFn, a: Term) -> Term:
    return a.into(st.exp(a.node), exp(a.bound), low=exp(-a.bound), related=False)


def _softmax(draw: hs.DrawFn, a: Term) -> Term:
    return a.into(st.softmax(a.node), 1.0, related=True)


def _normed(function: Callable[[Node], Node], axis: int, draw: hs.DrawFn, a: Term) -> Term:
    return a.into(function(a.node), sqrt(a.shape[axis]), related=True)


def _always(a: Term) -> bool:
    return True


def _has_axes(count: int, a: Term) -> bool:
    return len(a.shape) >= count


def _stays_small(exponent: int, a: Term) -> bool:
    return a.bound**exponent <= LARGEST_VALUE


def _is_away_from_zero(a: Term) -> bool:
    return a.low >= 0.1


def _can_be_summed(a: Term) -> bool:
    return len(a.shape) >= 1 and not a.related


def _can_gain_axes(a: Term) -> bool:
    return 1 <= len(a.shape) < LARGEST_RANK


def _is_moderate(a: Term) -> bool:
    return a.bound <= LARGEST_ARGUMENT


def _has_small_exponent(a: Term) -> bool:
    return a.bound <= LARGEST_EXPONENT


def _has_scores(a: Term) -> bool:
    return _is_moderate(a) and len(a.shape) >= 1 and a.shape[-1] >= 2


def _has_norm(axis: int, smallest: int, a: Term) -> bool:
    """Two entries have a direction; three have a mean, a deviation, and something left besides."""
    return len(a.shape) >= -axis and a.shape[axis] >= smallest and a.alive and not a.related


def _has_axis(axis: int, a: Term) -> bool:
    return len(a.shape) >= -axis


def _softened(x: Node) -> Node:
    return st.layer_norm(x, eps=0.5)


UNARY_MOVES = (
    UnaryMove(_shifted, _always),
    UnaryMove(_permuted, partial(_has_axes, 2)),
    UnaryMove(_sum, _can_be_summed),
    UnaryMove(partial(_power, 2), partial(_stays_small, 2)),
    UnaryMove(partial(_power, 3), partial(_stays_small, 3)),
    UnaryMove(_inverse, _is_away_from_zero),
    UnaryMove(_merged, partial(_has_axes, 2)),
    UnaryMove(_split, _can_gain_axes),
    UnaryMove(_cumsum, partial(_has_axes, 1)),
    UnaryMove(_windows, _can_gain_axes),
    UnaryMove(_relu, _always, kinked=True),
    UnaryMove(partial(_kinked, partial(st.leaky_relu, slope=0.25), 0.25), _always, kinked=True),
    UnaryMove(partial(_kinked, st.abs, 1.0), _always, kinked=True),
    UnaryMove(partial(_saturating, st.tanh, 1.0), _is_moderate, exact=False),
    UnaryMove(partial(_saturating, st.sigmoid, 1.0), _is_moderate, exact=False),
    UnaryMove(partial(_gated, st.silu), _is_moderate, exact=False),
    UnaryMove(partial(_gated, st.gelu), _is_moderate, exact=False),
    UnaryMove(_exp, _has_small_exponent, exact=False),
    UnaryMove(_softmax, _has_scores, exact=False),
    UnaryMove(partial(_normed, st.normalize, -1), partial(_has_norm, -1, 2), exact=False),
    UnaryMove(partial(_normed, st.rms_norm, -1), partial(_has_norm, -1, 2), exact=False),
    UnaryMove(partial(_normed, st.layer_norm, -1), partial(_has_norm, -1, 3), exact=False),
    UnaryMove(partial(_normed, st.batch_norm, -2), partial(_has_norm, -2, 3), exact=False),
    UnaryMove(partial(_normed, _softened, -1), partial(_has_norm, -1, 2), exact=False),
)
