"""Named intermediates: symbols with the polynomials or traces that they stand for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import sympy as sp

from symtheory.graph.symbol_names import free_name
from symtheory.matrix_calculus.polynomial import DiagonalPart, Letter, Polynomial, Word, collect
from symtheory.matrix_calculus.symbols import CenteringSymbol, DiagonalSymbol, SymmetricSymbol
from symtheory.matrix_calculus.trace_form import TraceForm

Value = Polynomial | TraceForm


@dataclass
class Definitions:
    """Symbol → value, each in terms of the point and of symbols defined before it.

    taken: names that no intermediate may have, those of the point and of its tangents.
    """

    values: dict[Any, Value] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.values)

    def __getitem__(self, symbol: Any) -> Value:
        return self.values[symbol]

    def items(self) -> Iterable[tuple[Any, Value]]:
        return self.values.items()

    def copy(self) -> Definitions:
        return Definitions(dict(self.values), set(self.taken))

    def matrix(self, name: str, value: Polynomial, *, diagonal: bool = False) -> sp.MatrixSymbol:
        """A new symbol for a polynomial: diagonal where it is said to be, symmetric where it is seen to be."""
        kind = DiagonalSymbol if diagonal else SymmetricSymbol if value.is_symmetric else sp.MatrixSymbol
        symbol = kind(self._name(name), *value.shape)
        self.values[symbol] = value
        return symbol

    def scalar(self, name: str, value: TraceForm) -> sp.Symbol:
        """A new real symbol for a trace."""
        symbol = sp.Symbol(self._name(name), real=True)
        self.values[symbol] = value
        return symbol

    def _name(self, wish: str) -> str:
        name = free_name(wish, self.taken)
        self.taken.add(name)
        return name

    def needed(self, values: Iterable[Value]) -> list[Any]:
        """The symbols that values are made of, directly or through others, in the order of definition."""
        return list(self.restricted(set().union(*(value.symbols for value in values))))

    def restricted(self, symbols: Iterable[Any]) -> Definitions:
        """The definitions of some symbols, and of those that they are made of."""
        wanted = set(symbols)
        for symbol in reversed(self.values):
            if symbol in wanted:
                wanted |= self.values[symbol].symbols
        return Definitions({s: value for s, value in self.values.items() if s in wanted}, set(self.taken))

    def known(self, value: Polynomial) -> Polynomial:
        """A multiple of the symbol defined by this polynomial, if there is one, else the polynomial itself."""
        if not value or (len(value.terms) == 1 and all(isinstance(f, Letter) for f in next(iter(value.terms)))):
            return value
        for symbol, meaning in self.values.items():
            if isinstance(meaning, Polynomial) and meaning.terms.keys() == value.terms.keys():
                ratios = {sp.cancel(value.terms[word] / meaning.terms[word]) for word in meaning.terms}
                if len(ratios) == 1:
                    return Polynomial({(Letter(symbol),): ratios.pop()}, value.shape)
        return value

    def expression(self, value: Value) -> Any:
        """The value as a SymPy expression of the point: definitions written out, inverses as ``Inverse``."""
        if isinstance(value, TraceForm):
            terms = []
            for word, coefficient in value:
                size = word[0].shape[0]
                product = self.expression(collect([(word, sp.S.One)], (size, size)))
                terms.append(self._scalar(coefficient) * sp.Trace(product))
            return sp.Add(*terms)
        if not value:
            return sp.ZeroMatrix(*value.shape)
        parts = [self._product(word, coefficient, value.shape) for word, coefficient in value]
        return parts[0] if len(parts) == 1 else sp.MatAdd(*parts)

    def _product(self, word: Word, coefficient: sp.Expr, shape: tuple[Any, Any]) -> Any:
        factors = [self._factor(factor) for factor in word] or [sp.Identity(shape[0])]
        number = self._scalar(coefficient)
        if number == 1 and len(factors) == 1:
            return factors[0]
        return sp.MatMul(*([] if number == 1 else [number]), *factors)

    def _factor(self, factor: Letter | DiagonalPart) -> Any:
        if isinstance(factor, DiagonalPart):
            return sp.DiagonalMatrix(self.expression(factor.of))
        symbol = factor.symbol
        if isinstance(symbol, CenteringSymbol):
            return symbol.value()
        if symbol not in self.values:
            return factor.expression()
        value = self.values[symbol]
        assert isinstance(value, Polynomial)  # a matrix symbol stands for a polynomial
        whole = self.expression(value)
        whole = sp.Transpose(whole) if factor.transposed else whole
        return sp.Inverse(whole) if factor.inverse else whole

    def _scalar(self, coefficient: sp.Expr) -> sp.Expr:
        meanings = {s: self.expression(self.values[s]) for s in coefficient.free_symbols if s in self.values}
        return coefficient.xreplace(meanings)


def fold(value: Polynomial, definitions: Definitions) -> Polynomial:
    """The polynomial with runs of factors replaced by symbols whose definition is that one word."""
    short = {
        word: symbol
        for symbol, meaning in definitions.items()
        if isinstance(meaning, Polynomial) and len(meaning.terms) == 1
        for word, coefficient in meaning
        if coefficient == 1 and (len(word) > 1 or isinstance(word[0], DiagonalPart))
    }
    return collect([(_folded(word, short), c) for word, c in value], value.shape)


def _folded(word: Word, short: Mapping[Word, Any]) -> Word:
    for run, symbol in short.items():
        for start in range(len(word) - len(run) + 1):
            if word[start : start + len(run)] == run:
                return _folded((*word[:start], Letter(symbol), *word[start + len(run) :]), short)
    return word
