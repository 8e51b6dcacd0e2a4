"""Means of matrix polynomials in one matrix of independent standard normal entries."""

from __future__ import annotations

import sympy as sp

from symtheory.errors import CalculusError
from symtheory.matrix_calculus.polynomial import Letter, Polynomial, Word, collect, zero


def noise_mean(value: Polynomial, noise: sp.MatrixSymbol) -> Polynomial:
    """E of a polynomial of degree two in N, the entries of N independent and standard normal.

     Both N as they stand or both transposed: E[P N M N Q] = P Mᵀ Q. One of them transposed: E[P N M Nᵀ Q] = Tr(M) P Q
    . Raises ``CalculusError`` for another degree.
    """
    total = zero(value.shape)
    for word, coefficient in value:
        first, second = noise_places(word, noise)
        before, between, after = word[:first], word[first + 1 : second], word[second + 1 :]
        if _transposed(word[first]) == _transposed(word[second]):
            middle = tuple(factor.transpose() for factor in reversed(between))
            total = total + collect([((*before, *middle, *after), coefficient)], value.shape)
        else:
            size = word[first].shape[1]
            square = Polynomial({between: sp.S.One}, (size, size))
            weight = size if not between else sp.Trace(square.expression())
            total = total + collect([((*before, *after), coefficient * weight)], value.shape)
    return total


def noise_places(word: Word, noise: sp.MatrixSymbol) -> tuple[int, int]:
    """Where the two N of a word are. Raises ``CalculusError`` where there are more or fewer."""
    places = [place for place, factor in enumerate(word) if isinstance(factor, Letter) and factor.symbol == noise]
    if len(places) != 2:
        raise CalculusError(f"a mean over {noise} is taken of products with two of it, and here are {len(places)}")
    return places[0], places[1]


def _transposed(factor: object) -> bool:
    assert isinstance(factor, Letter)  # the places are those of letters
    return factor.transposed
