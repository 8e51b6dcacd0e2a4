"""Determinants of Gram matrices of fields, by the smallest matrices that tell them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sympy as sp

from symtheory.geometry.matrix.field_gram import FieldGram, Kind, Span
from symtheory.matrix_calculus.polynomial import DiagonalPart, Polynomial, diagonal_part, letter, zero
from symtheory.matrix_calculus.symbols import DiagonalSymbol
from symtheory.matrix_calculus.trace_form import TraceForm
from symtheory.matrix_calculus.two_sided import TwoSidedOperator


@dataclass(frozen=True)
class NumberGram:
    """A single field: the determinant is its squared length."""

    value: TraceForm


@dataclass(frozen=True)
class ParallelGram:
    """Diagonal elements whose entries do not mix: one small determinant for every index.

    entries: for every pair of spans the diagonal matrix of their inner products.
    """

    entries: tuple[tuple[Polynomial, ...], ...]


@dataclass(frozen=True)
class PairSums:
    """A ↦ ½(M A + A M) on symmetric or on skew A: the determinant is Π ½(μ_i + μ_j), i ≤ j or i < j.

    side: M, symmetric; μ: its eigenvalues.
    """

    side: Polynomial
    kind: Kind


@dataclass(frozen=True)
class OuterSums:
    """A ↦ L A + A R on all A: the determinant is Π_ij (λ_i + ρ_j), with the eigenvalues of L and R."""

    left: Polynomial
    right: Polynomial


@dataclass(frozen=True)
class DenseGram:
    """No closed spectrum: the determinant of the Gram matrix in orthonormal bases of all elements."""

    gram: FieldGram
    spans: tuple[Span, ...]


Form = NumberGram | ParallelGram | PairSums | OuterSums | DenseGram


def determinant_form(gram: FieldGram, spans: Sequence[Span]) -> Form:
    """How the Gram determinant of one component is found."""
    if all(span.kind == "diagonal" for span in spans):
        entries = [[_diagonal_gram(gram, first, second) for second in spans] for first in spans]
        if all(entry is not None for row in entries for entry in row):
            return ParallelGram(tuple(tuple(entry for entry in row if entry is not None) for row in entries))
    if len(spans) == 1:
        (span,) = spans
        block = gram.block(span, span)
        if isinstance(block, TraceForm):
            return NumberGram(block)
        assert isinstance(block, TwoSidedOperator)
        sides = _one_sided(block)
        if sides is not None and span.kind in ("symmetric", "skew") and (sides[0] + sides[1]).is_symmetric:
            return PairSums(sides[0] + sides[1], span.kind)
        if sides is not None and span.kind == "all" and all(side.is_symmetric for side in sides):
            return OuterSums(*sides)
    return DenseGram(gram, tuple(spans))


def _diagonal_gram(gram: FieldGram, first: Span, second: Span) -> Polynomial | None:
    """The diagonal matrix that a block of two diagonal elements multiplies by; None where it mixes their entries."""
    block = gram.block(first, second)
    assert isinstance(block, TwoSidedOperator)
    element = DiagonalSymbol("~unit", first.size, first.size)
    total = zero((first.size, first.size))
    for left, right in (*block.straight, *block.crossed):
        total = total + diagonal_part(left @ letter(element) @ right)
    entries = zero(total.shape)
    for word, coefficient in total:
        if any(isinstance(factor, DiagonalPart) and element in factor.of.symbols for factor in word):
            return None
        entries = entries + Polynomial({word: coefficient}, total.shape)
    one = {element: Polynomial({(): sp.S.One}, total.shape)}
    return entries.replaced(one)


def _one_sided(block: TwoSidedOperator) -> tuple[Polynomial, Polynomial] | None:
    """(L, R) with A ↦ L A + A R; None where a term acts on both sides at once or transposes."""
    if block.crossed:
        return None
    left = right = None
    for first, second in block.straight:
        if set(second.terms) == {()}:
            left = first * second.terms[()] if left is None else left + first * second.terms[()]
        elif set(first.terms) == {()}:
            right = second * first.terms[()] if right is None else right + second * first.terms[()]
        else:
            return None
    if left is None and right is None:
        return None
    known = left if left is not None else right
    assert known is not None
    empty = zero(known.shape)
    return left if left is not None else empty, right if right is not None else empty
