"""In which order a product of matrices is taken: the cheapest one, by dynamic programming over sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sympy as sp

from symtheory.matrix_calculus.polynomial import Letter, Word, transposed
from symtheory.matrix_calculus.symbols import CenteringSymbol

TALL, NARROW = 768, 64
"""Sizes assumed for free dimensions, and for those on which a group acts: in practice the latter are smaller."""


@dataclass
class ProductOrder:
    """Splits words so that the number of multiplications is least.

    narrow: symbolic sizes on which a group acts. What was computed already, in ``known``, costs nothing.
    """

    narrow: frozenset[sp.Symbol]

    def __post_init__(self) -> None:
        self.known: set[Word] = set()
        self._plans: dict[Word, tuple[float, int]] = {}

    def know(self, word: Word) -> None:
        """From now on the word, and its transpose, cost nothing."""
        self.known |= {word, transposed(word)}
        self._plans.clear()

    def split(self, word: Word) -> int:
        """Where to cut a word of two or more factors."""
        return self._plan(word)[1]

    def cost(self, word: Word) -> float:
        """Multiplications that a word takes, those of its parts included."""
        return self._plan(word)[0]

    def _plan(self, word: Word) -> tuple[float, int]:
        if len(word) < 2 or word in self.known:
            return 0.0, 0
        if word not in self._plans:
            options = [
                (self.cost(word[:cut]) + self.cost(word[cut:]) + self.product_cost(word[:cut], word[cut:]), cut)
                for cut in range(1, len(word))
            ]
            self._plans[word] = min(options)
        return self._plans[word]

    def product_cost(self, left: Word, right: Word) -> float:
        """Multiplications of one product."""
        rows, inner, columns = (
            self.number(left[0].shape[0]),
            self.number(right[0].shape[0]),
            self.number(right[-1].shape[1]),
        )
        if is_diagonal(left) and is_diagonal(right):
            return rows
        if is_diagonal(left) or is_diagonal(right) or is_centring(left) or is_centring(right):
            return rows * columns
        return rows * inner * columns

    def number(self, size: Any) -> float:
        """A size in numbers."""
        size = sp.sympify(size)
        return float(size.xreplace({s: sp.Integer(NARROW if s in self.narrow else TALL) for s in size.free_symbols}))

    def halves(self, word: Word) -> tuple[Word, Word]:
        """Where to cut a word of which only the trace or the diagonal is needed: the last product is then entrywise."""
        options = [
            (self.cost(word[:cut]) + self.cost(word[cut:]) + self.entries(word[:cut]) + self._written(word[cut:]), cut)
            for cut in range(1, len(word))
        ]
        cut = min(options)[1]
        return word[:cut], word[cut:]

    def traced(self, word: Word) -> tuple[Word, Word]:
        """The two parts of the trace of a word, rotated as is cheapest."""
        rotations = [word[turn:] + word[:turn] for turn in range(len(word))]
        parts = [self.halves(rotation) for rotation in rotations]
        return min(
            parts,
            key=lambda pair: self.cost(pair[0]) + self.cost(pair[1]) + self.entries(pair[0]) + self._written(pair[1]),
        )

    def _written(self, word: Word) -> float:
        return float("inf") if is_centring(word) else 0.0

    def entries(self, word: Word) -> float:
        """Entries of a product that is written out; a centring alone never is."""
        if is_centring(word):
            return float("inf")
        return self.number(word[0].shape[0]) * self.number(word[-1].shape[1])


def is_diagonal(word: Word) -> bool:
    """Whether a product is a diagonal matrix, kept as a vector."""
    return bool(word) and all(factor.is_diagonal for factor in word)


def is_centring(word: Word) -> bool:
    """Whether the word is a projection that takes the mean away, alone."""
    return len(word) == 1 and isinstance(word[0], Letter) and isinstance(word[0].symbol, CenteringSymbol)
