"""Strategy for random valid parametrizations, grown from the leaves upward."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

import symtheory.graph.functions as st
from symtheory.errors import DeclarationError
from symtheory.parametrization import Parametrization
from symtheory.testing.binary_moves import BINARY_MOVES, BinaryMove
from symtheory.testing.hypothesis_extra import strategies as hs
from symtheory.testing.term import Term, leaf
from symtheory.testing.unary_moves import UNARY_MOVES

Move = TypeVar("Move")
PARAMETERS, INPUTS, CONSTANTS = ("u", "v", "w"), ("x", "y"), ("c",)
SHAPES = hs.lists(hs.sampled_from([1, 2, 3, 4]), max_size=3).map(tuple)
STOP = 8
"""One draw in so many ends the growth before the largest number of operations is reached."""


def parametrizations(
    *, smooth: bool = False, exact: bool = False, max_operations: int = 6
) -> hs.SearchStrategy[Parametrization]:
    """A bound graph of up to ``max_operations`` operations on 1 to 3 parameters, up to 2 inputs and a constant.

    smooth: no kinks, so without relu, leaky_relu and abs; exact: only rational and piecewise linear operations, whose
    certificates are exact. Every predictor depends on a parameter and is finite at points and data as ``points`` and
    ``data`` draw them (nothing that can vanish is normalised, and the exponents of exp are bounded). Each operation
    acts on terms that it fits, or on a fresh leaf made to fit: nothing is filtered, and graphs shrink to one operation
    on one parameter. Raises ``DeclarationError`` unless at least one operation is allowed.
    """
    if max_operations < 1:
        raise DeclarationError(f"max_operations = {max_operations} must be at least 1")
    return _graphs(smooth, exact, max_operations)


@hs.composite
def _graphs(draw: hs.DrawFn, smooth: bool, exact: bool, max_operations: int) -> Parametrization:
    growth = _Growth(draw(SHAPES), smooth, exact)
    for _ in range(max_operations):
        if not draw(_steps(growth)):
            break
    if growth.operations == 0:
        growth.grow(draw)
    return Parametrization(growth.terms[-1].node, name="random")


@hs.composite
def _steps(draw: hs.DrawFn, growth: _Growth) -> bool:
    """Whether to go on, and one more operation if so: drawn together, so that a step can be taken out as a whole."""
    if draw(hs.integers(0, STOP - 1)) == 0:
        return False
    growth.grow(draw)
    return True


class _Growth:
    """Terms made so far, the newest last."""

    def __init__(self, shape: tuple[int, ...], smooth: bool, exact: bool) -> None:
        self.smooth, self.exact = smooth, exact
        self.used: dict[str, int] = {"parameter": 0, "input": 0, "constant": 0}
        self.terms: list[Term] = [self.fresh("parameter", shape)]
        self.operations = 0

    def grow(self, draw: hs.DrawFn) -> None:
        """One more operation, on the newest term or any; what shrinks comes first: one term, the newest, to add 1."""
        self.operations += 1
        moving = [term for term in reversed(self.terms) if term.moves]
        term = draw(hs.sampled_from(moving)) if draw(hs.booleans()) else moving[0]
        if draw(hs.booleans()) and self._join(draw, term):
            return
        start = draw(hs.integers(0, len(UNARY_MOVES) - 1))
        allowed = (move for move in _from(UNARY_MOVES, start) if move.is_allowed(term, self.smooth, self.exact))
        self.terms.append(next(allowed).build(draw, term))  # one of them is always allowed

    def _join(self, draw: hs.DrawFn, term: Term) -> bool:
        """Whether something could be joined to the term, which is so unless it is large already."""
        for move in _from(BINARY_MOVES, draw(hs.integers(0, len(BINARY_MOVES) - 1))):
            partners = list(self.partners(move, term))
            if partners:
                partner = draw(hs.sampled_from(partners))
                if not isinstance(partner, Term):
                    partner = self.fresh(*partner)
                    self.terms.append(partner)
                self.terms.append(move.join(term, partner))
                return True
        return False

    def partners(self, move: BinaryMove, term: Term) -> Iterator[Term | tuple[str, tuple[int, ...]]]:
        """Fresh leaves by kind and shape, then the terms that fit, the newest first."""
        for kind in ("parameter", "input", "constant"):
            if self.used[kind] < len(_names(kind)):
                for shape in dict.fromkeys(move.shapes(term.shape)):
                    if move.admits(term, _leaf(kind, 0, shape)):
                        yield kind, shape
        yield from (other for other in reversed(self.terms) if move.admits(term, other))

    def fresh(self, kind: str, shape: tuple[int, ...]) -> Term:
        self.used[kind] += 1
        return _leaf(kind, self.used[kind] - 1, shape)


def _from(moves: Sequence[Move], start: int) -> Iterator[Move]:
    """All moves in a circle: the number drawn means the same move wherever that move fits."""
    yield from moves[start:]
    yield from moves[:start]


def _names(kind: str) -> tuple[str, ...]:
    return {"parameter": PARAMETERS, "input": INPUTS, "constant": CONSTANTS}[kind]


def _leaf(kind: str, number: int, shape: tuple[int, ...]) -> Term:
    make = {"parameter": st.param, "input": st.input, "constant": st.constant}[kind]
    return leaf(make(_names(kind)[number], *shape), moves=kind == "parameter")
