"""Scalars that are sums of traces of products of matrices, and how they change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sympy as sp

from symtheory.errors import CalculusError
from symtheory.matrix_calculus.polynomial import (
    DiagonalPart,
    Letter,
    Polynomial,
    Word,
    collect,
    diagonal_part,
    polynomial,
    reduce_word,
    transposed,
    without_skew_transposes,
    zero,
)


@dataclass(frozen=True)
class TraceForm:
    """Σ coefficient · Tr(word), words up to rotation and transposition."""

    terms: Mapping[Word, sp.Expr]

    def __hash__(self) -> int:
        return hash(frozenset(self.terms.items()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TraceForm) and dict(self.terms) == dict(other.terms)

    def __iter__(self) -> Iterator[tuple[Word, sp.Expr]]:
        return iter(self.terms.items())

    def __bool__(self) -> bool:
        return bool(self.terms)

    def __add__(self, other: TraceForm) -> TraceForm:
        return collect_traces([*self, *other])

    def __mul__(self, factor: Any) -> TraceForm:
        return collect_traces((word, coefficient * factor) for word, coefficient in self)

    @property
    def symbols(self) -> set[Any]:
        """All matrix symbols and all scalar symbols that occur."""
        return set().union(*(Polynomial({word: c}, (1, 1)).symbols for word, c in self))

    def replaced(self, values: Mapping[Any, Any]) -> TraceForm:
        """Symbols replaced: matrix symbols by polynomials, scalar symbols by scalar expressions."""
        total = TraceForm({})
        for word, coefficient in self:
            shape = (word[0].shape[0], word[-1].shape[1])
            total = total + trace(Polynomial({word: coefficient}, shape).replaced(values))
        return total

    def expression(self) -> sp.Expr:
        """The form as a SymPy scalar made of ``Trace``."""
        parts = []
        for word, coefficient in self:
            square = (word[0].shape[0], word[0].shape[0])
            parts.append(coefficient * sp.Trace(Polynomial({word: sp.S.One}, square).expression()))
        return sp.Add(*parts)

    def __str__(self) -> str:
        return str(self.expression())


def trace(of: Polynomial) -> TraceForm:
    """Tr of a square polynomial; of the identity it is the size, which no form here contains."""
    return collect_traces(of)


def collect_traces(terms: Iterable[tuple[Word, sp.Expr]]) -> TraceForm:
    """Like terms brought together up to rotation and transposition."""
    total: dict[Word, sp.Expr] = {}
    for word, coefficient in terms:
        own, sign = _cyclic(word)
        total[own] = total.get(own, sp.S.Zero) + sign * coefficient
    return TraceForm({word: c for word, c in total.items() if c != 0})


def _cyclic(word: Word) -> tuple[Word, int]:
    """The first, by name, of all rotations of the word and of its transpose, with a sign.

    The sign is 0 where the word is minus its own transpose, as one with a single skew symbol can be. Raises
    ``CalculusError`` for the trace of an identity: it is a constant, not a form of a point.
    """
    word = reduce_word(word)
    while len(word) > 1:
        turned = reduce_word((*word[1:], word[0]))
        if len(turned) == len(word):
            break
        word = turned
    if not word:
        raise CalculusError("the trace of an identity is a constant, not a form of a point")
    sign, back = without_skew_transposes(transposed(word))
    plain = min(_rotations(word), key=_keys)
    turned_back = min(_rotations(reduce_word(back)), key=_keys)
    if plain == turned_back:
        return plain, (1 + sign) // 2
    return (plain, 1) if _keys(plain) < _keys(turned_back) else (turned_back, sign)


def _rotations(word: Word) -> list[Word]:
    return [reduce_word(word[place:] + word[:place]) for place in range(len(word))]


def _keys(word: Word) -> list[tuple[Any, ...]]:
    return [factor.key for factor in word]


def gradient(form: TraceForm, symbol: sp.MatrixSymbol) -> Polynomial:
    """G with d(form) = Tr(Gᵀ dX) for the symbol X, the coefficients held fixed; of the shape of X."""
    total = zero(tuple(symbol.shape))
    for word, coefficient in form:
        total = total + _through(word, (), coefficient, symbol)
    return Polynomial(total.terms, tuple(symbol.shape))


def _through(word: Word, rest: Word, coefficient: sp.Expr, symbol: sp.MatrixSymbol) -> Polynomial:
    """Gradient of coefficient · Tr(word · rest) through the word alone."""
    total = zero(tuple(symbol.shape))
    for place, factor in enumerate(word):
        around = (*word[place + 1 :], *rest, *word[:place])
        if isinstance(factor, DiagonalPart):
            # Tr(diag(A) B) = Tr(A diag(B))
            frozen = diagonal_part(collect([(around, coefficient)], factor.shape))
            for inner, c in factor.of:
                for held, weight in frozen:
                    total = total + _through(inner, held, c * weight, symbol)
        elif factor.symbol == symbol:
            total = total + _occurrence(factor, around, coefficient)
    return total


def _occurrence(factor: Letter, around: Word, coefficient: sp.Expr) -> Polynomial:
    """Gradient of coefficient · Tr(factor · around) through this occurrence alone."""
    if factor.inverse:
        around, coefficient = (factor, *around, factor), -coefficient
    word = around if factor.transposed else transposed(around)
    return collect([(word, coefficient)], tuple(factor.symbol.shape))


def scalar_gradient(form: TraceForm, symbol: sp.Symbol) -> TraceForm:
    """Derivative with respect to a scalar symbol in the coefficients."""
    return collect_traces((word, sp.diff(c, symbol)) for word, c in form)


def differential(of: Polynomial, changes: Mapping[Any, Any]) -> Polynomial:
    """The change of a polynomial when its symbols change: matrix symbols by polynomials, scalars by expressions."""
    total = zero(of.shape)
    for word, coefficient in of:
        slope = sum(
            (sp.diff(coefficient, s) * changes[s] for s in coefficient.free_symbols & changes.keys()), sp.S.Zero
        )
        total = total + collect([(word, slope)], of.shape)
        for place, factor in enumerate(word):
            change = _factor_change(factor, changes)
            if change:
                before = collect([(word[:place], coefficient)], (of.shape[0], factor.shape[0]))
                after = collect([(word[place + 1 :], sp.S.One)], (factor.shape[1], of.shape[1]))
                total = total + before @ change @ after
    return Polynomial(total.terms, of.shape)


def _factor_change(factor: Any, changes: Mapping[Any, Any]) -> Polynomial | None:
    if isinstance(factor, DiagonalPart):
        return diagonal_part(differential(factor.of, changes))
    change = changes.get(factor.symbol)
    if change is None:
        return None
    if factor.inverse:
        # d(X⁻¹) = −X⁻¹ dX X⁻¹
        own = Polynomial({(Letter(factor.symbol, False, True),): sp.S.One}, factor.shape)
        change = own @ change @ own * -1
    return change.T if factor.transposed else change


def trace_differential(form: TraceForm, changes: Mapping[Any, Any]) -> TraceForm:
    """The change of a form when its symbols change."""
    total = TraceForm({})
    for word, coefficient in form:
        size = word[0].shape[0]
        total = total + trace(differential(Polynomial({word: coefficient}, (size, size)), changes))
    return total


def trace_form(expression: sp.Expr) -> TraceForm:
    """A SymPy scalar that is a sum of multiples of traces. Raises ``CalculusError`` for another one."""
    total = TraceForm({})
    for term in sp.Add.make_args(sp.expand(expression)):
        traces = [factor for factor in sp.Mul.make_args(term) if isinstance(factor, sp.Trace)]
        if len(traces) != 1:
            raise CalculusError(f"{term} is not a multiple of one trace: write sums of c·Trace(…)")
        coefficient = sp.Mul(*(factor for factor in sp.Mul.make_args(term) if factor is not traces[0]))
        total = total + trace(polynomial(traces[0].arg)) * coefficient
    return total
