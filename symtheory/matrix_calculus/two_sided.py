"""Linear maps of matrices A ↦ Σ c L A R + Σ c L Aᵀ R, and which of them have a closed inverse."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import sympy as sp

from symtheory.errors import CalculusError
from symtheory.matrix_calculus.definitions import Definitions, fold
from symtheory.matrix_calculus.polynomial import Letter, Polynomial, Word, collect, inverse


@dataclass(frozen=True)
class TwoSidedOperator:
    """A ↦ Σ L A R over ``straight`` plus Σ L Aᵀ R over ``crossed``; L, R polynomials.

    Like left or right sides are brought together, so that the number of terms says how it can be inverted: one term
    by two solves, two by simultaneous diagonalisation (a Sylvester equation), more only by iteration.
    """

    straight: tuple[tuple[Polynomial, Polynomial], ...]
    crossed: tuple[tuple[Polynomial, Polynomial], ...] = ()

    @property
    def kind(self) -> Literal["zero", "product", "sylvester", "general"]:
        """How the map is inverted."""
        if self.crossed:
            return "general"
        return ("zero", "product", "sylvester", "general")[min(len(self.straight), 3)]

    @property
    def positive(self) -> tuple[tuple[Polynomial, Polynomial], ...]:
        """The terms L A R whose sides are symmetric and carry no minus sign, as sums of Gram matrices are."""
        return tuple((left, right) for left, right in self.straight if _is_positive(left) and _is_positive(right))

    @property
    def is_reciprocal(self) -> bool:
        """Whether it is P A P⁻¹ + M⁻¹ A M, for which one eigendecomposition is enough."""
        if self.kind != "sylvester":
            return False
        (l1, r1), (l2, r2) = self.straight
        return all(len(side.terms) == 1 for side in (l1, r1, l2, r2)) and r1 == inverse(l1) and l2 == inverse(r2)


def two_sided(value: Polynomial, unknown: sp.MatrixSymbol, definitions: Definitions) -> TwoSidedOperator:
    """A polynomial that is linear in a matrix symbol, as an operator. Raises ``CalculusError`` where it is not."""
    straight: list[tuple[Polynomial, Polynomial]] = []
    crossed: list[tuple[Polynomial, Polynomial]] = []
    for word, coefficient in value:
        places = [i for i, f in enumerate(word) if isinstance(f, Letter) and f.symbol == unknown]
        if len(places) != 1:
            raise CalculusError(f"{value} is not linear in {unknown}")
        (place,) = places
        letter = word[place]
        assert isinstance(letter, Letter)
        left = _side(word[:place], coefficient, (value.shape[0], letter.shape[0]), definitions)
        right = _side(word[place + 1 :], sp.S.One, (letter.shape[1], value.shape[1]), definitions)
        (crossed if letter.transposed else straight).append((left, right))
    return TwoSidedOperator(_gathered(straight, definitions), _gathered(crossed, definitions))


def _is_positive(side: Polynomial) -> bool:
    return side.is_symmetric and all(coefficient.as_coeff_Mul()[0].is_positive for _, coefficient in side)


def skew_part(operator: TwoSidedOperator, definitions: Definitions) -> TwoSidedOperator:
    """The antisymmetric part of the operator's value, for antisymmetric arguments."""
    terms = [(left, right) for left, right in operator.straight]
    terms += [(left * -1, right) for left, right in operator.crossed]
    both = [(left * sp.S.Half, right) for left, right in terms]
    both += [(right.T * sp.S.Half, left.T) for left, right in terms]
    return TwoSidedOperator(_gathered(both, definitions))


def _side(word: Word, coefficient: sp.Expr, shape: tuple, definitions: Definitions) -> Polynomial:
    return fold(collect([(word, coefficient)], shape), definitions)


def _gathered(
    terms: Iterable[tuple[Polynomial, Polynomial]], definitions: Definitions
) -> tuple[tuple[Polynomial, Polynomial], ...]:
    by_right = _summed([(right, left) for left, right in terms], definitions)
    by_left = _summed([(left, right) for right, left in by_right], definitions)
    return tuple((left, right) for left, right in by_left if left and right)


def _summed(
    pairs: Iterable[tuple[Polynomial, Polynomial]], definitions: Definitions
) -> list[tuple[Polynomial, Polynomial]]:
    """(key, value) pairs with equal keys brought together; sums that are known get their names."""
    total: dict[Polynomial, Polynomial] = {}
    for key, value in pairs:
        scale = next(iter(key.terms.values()), sp.S.One)
        unit = key * (1 / scale)
        total[unit] = total[unit] + value * scale if unit in total else value * scale
    return [(key, _named(value, definitions)) for key, value in total.items()]


def _named(value: Polynomial, definitions: Definitions) -> Polynomial:
    folded = fold(value, definitions)
    known = definitions.known(folded)
    return known if known != folded else definitions.known(value) if definitions.known(value) != value else folded
