"""Polynomials in matrices that do not commute: the normal form in which matrix expressions are derived."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sympy as sp

from symtheory.errors import CalculusError
from symtheory.matrix_calculus.symbols import CenteringSymbol, DiagonalSymbol, SkewSymbol, SymmetricSymbol


@dataclass(frozen=True)
class Letter:
    """A matrix symbol, its transpose, its inverse, or the transpose of its inverse."""

    symbol: sp.MatrixSymbol
    transposed: bool = False
    inverse: bool = False

    @property
    def shape(self) -> tuple[Any, Any]:
        rows, columns = self.symbol.shape
        return (columns, rows) if self.transposed else (rows, columns)

    @property
    def is_diagonal(self) -> bool:
        return isinstance(self.symbol, DiagonalSymbol)

    def transpose(self) -> Letter:
        if isinstance(self.symbol, SymmetricSymbol):
            return self
        return Letter(self.symbol, not self.transposed, self.inverse)

    def inverted(self) -> Letter:
        return Letter(self.symbol, self.transposed, not self.inverse)

    def expression(self) -> Any:
        result = sp.Transpose(self.symbol) if self.transposed else self.symbol
        return sp.Inverse(result) if self.inverse else result

    @property
    def key(self) -> tuple[Any, ...]:
        return (self.symbol.name, self.transposed, self.inverse)


@dataclass(frozen=True)
class DiagonalPart:
    """The diagonal matrix with the diagonal of a polynomial."""

    of: Polynomial

    @property
    def shape(self) -> tuple[Any, Any]:
        return self.of.shape

    @property
    def is_diagonal(self) -> bool:
        return True

    def transpose(self) -> DiagonalPart:
        return self

    def expression(self) -> Any:
        return sp.DiagonalMatrix(self.of.expression())

    @property
    def key(self) -> tuple[Any, ...]:
        return ("~diagonal part", *sorted(tuple(f.key for f in word) for word, _ in self.of))


Factor = Letter | DiagonalPart
Word = tuple[Factor, ...]


def reduce_word(word: Iterable[Factor]) -> Word:
    """The word without K K⁻¹, with centrings applied once and commuting diagonal factors in one order."""
    reduced: list[Factor] = []
    for factor in word:
        start = len(reduced)
        while factor.is_diagonal and start and reduced[start - 1].is_diagonal:
            start -= 1
        undone = next((place for place in range(start, len(reduced)) if _cancel(reduced[place], factor)), None)
        if undone is None and reduced and _cancel(reduced[-1], factor):
            undone = len(reduced) - 1
        if undone is not None:
            del reduced[undone]
        elif reduced and factor == reduced[-1] and isinstance(factor, Letter) and _is_centering(factor):
            continue
        else:
            place = next((p for p in range(start, len(reduced)) if reduced[p].key > factor.key), len(reduced))
            reduced.insert(place, factor)
    return tuple(reduced)


def _is_centering(letter: Letter) -> bool:
    return isinstance(letter.symbol, CenteringSymbol)


def _cancel(left: Factor, right: Factor) -> bool:
    return isinstance(left, Letter) and isinstance(right, Letter) and left == right.inverted()


@dataclass(frozen=True)
class Polynomial:
    """Σ coefficient · word, all words of one shape; the empty word is the identity.

    terms: word → coefficient, a scalar expression; shape: rows and columns, symbolic.
    """

    terms: Mapping[Word, sp.Expr]
    shape: tuple[Any, Any]

    def __hash__(self) -> int:
        return hash((frozenset(self.terms.items()), self.shape))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Polynomial) and dict(self.terms) == dict(other.terms)

    def __iter__(self) -> Iterator[tuple[Word, sp.Expr]]:
        return iter(self.terms.items())

    def __bool__(self) -> bool:
        return bool(self.terms)

    def __add__(self, other: Polynomial) -> Polynomial:
        return collect([*self, *other], self.shape)

    def __sub__(self, other: Polynomial) -> Polynomial:
        return self + other * -1

    def __mul__(self, factor: Any) -> Polynomial:
        return collect([(word, coefficient * factor) for word, coefficient in self], self.shape)

    def __matmul__(self, other: Polynomial) -> Polynomial:
        products = [((*left, *right), a * b) for left, a in self for right, b in other]
        return collect(products, (self.shape[0], other.shape[1]))

    @property
    def T(self) -> Polynomial:
        """The transpose."""
        rows, columns = self.shape
        return collect([(transposed(word), c) for word, c in self], (columns, rows))

    @property
    def is_symmetric(self) -> bool:
        return self == self.T

    @property
    def symbols(self) -> set[Any]:
        """All matrix symbols and all scalar symbols that occur."""
        found: set[Any] = set()
        for word, coefficient in self:
            found |= coefficient.free_symbols
            for factor in word:
                found |= factor.of.symbols if isinstance(factor, DiagonalPart) else {factor.symbol}
        return found

    def replaced(self, values: Mapping[Any, Any]) -> Polynomial:
        """Symbols replaced: matrix symbols by polynomials, scalar symbols by scalar expressions."""
        scalars = {key: value for key, value in values.items() if not isinstance(key, sp.MatrixSymbol)}
        total = zero(self.shape)
        for word, coefficient in self:
            term = identity(self.shape[0]) * coefficient.xreplace(scalars)
            for factor in word:
                term = term @ _replaced(factor, values)
            total = total + term
        return Polynomial(total.terms, self.shape)

    def expression(self) -> Any:
        """The polynomial as a SymPy matrix expression."""
        if not self.terms:
            return sp.ZeroMatrix(*self.shape)
        parts = [_expression(word, coefficient, self.shape) for word, coefficient in self]
        return parts[0] if len(parts) == 1 else sp.MatAdd(*parts)

    def __str__(self) -> str:
        return str(self.expression())


def _replaced(factor: Factor, values: Mapping[Any, Any]) -> Polynomial:
    if isinstance(factor, DiagonalPart):
        return diagonal_part(factor.of.replaced(values))
    if factor.symbol not in values:
        return Polynomial({(factor,): sp.S.One}, factor.shape)
    value: Polynomial = values[factor.symbol]
    if factor.inverse:
        value = inverse(value)
    return value.T if factor.transposed else value


def _expression(word: Word, coefficient: sp.Expr, shape: tuple[Any, Any]) -> Any:
    factors = [factor.expression() for factor in word] or [sp.Identity(shape[0])]
    if coefficient == 1 and len(factors) == 1:
        return factors[0]
    return sp.MatMul(*([] if coefficient == 1 else [coefficient]), *factors)


def transposed(word: Word) -> Word:
    """The word of the transpose."""
    return reduce_word(factor.transpose() for factor in reversed(word))


def collect(terms: Iterable[tuple[Word, sp.Expr]], shape: tuple[Any, Any]) -> Polynomial:
    """Like terms brought together, skew symbols written without transpose, zeros dropped."""
    total: dict[Word, sp.Expr] = {}
    for word, coefficient in terms:
        sign, plain = without_skew_transposes(word)
        reduced = reduce_word(plain)
        total[reduced] = total.get(reduced, sp.S.Zero) + sign * coefficient
    return Polynomial({word: c for word, c in total.items() if c != 0}, shape)


def without_skew_transposes(word: Iterable[Factor]) -> tuple[int, list[Factor]]:
    """The word with Aᵀ = −A for skew symbols, and the sign that this gives it."""
    sign, plain = 1, []
    for factor in word:
        if isinstance(factor, Letter) and factor.transposed and isinstance(factor.symbol, SkewSymbol):
            sign, factor = -sign, Letter(factor.symbol, False, factor.inverse)
        plain.append(factor)
    return sign, plain


def zero(shape: tuple[Any, Any]) -> Polynomial:
    """The empty sum."""
    return Polynomial({}, shape)


def identity(size: Any) -> Polynomial:
    """The identity matrix: the empty word."""
    return Polynomial({(): sp.S.One}, (size, size))


def letter(symbol: sp.MatrixSymbol) -> Polynomial:
    """A symbol as a polynomial."""
    return Polynomial({(Letter(symbol),): sp.S.One}, tuple(symbol.shape))


def diagonal_part(of: Polynomial) -> Polynomial:
    """The diagonal matrix with a polynomial's diagonal; what is diagonal already, and factors that are, come out."""
    total = zero(of.shape)
    for word, coefficient in of:
        start = next((place for place, factor in enumerate(word) if not factor.is_diagonal), len(word))
        stop = next((place for place in range(len(word), start, -1) if not word[place - 1].is_diagonal), start)
        inner = word[start:stop]
        left, right = word[:start], word[stop:]
        if inner:
            # diag(A) = diag(Aᵀ): one of both is kept, so that like terms meet.
            sign, turned = without_skew_transposes(transposed(inner))
            back = reduce_word(turned)
            if sign < 0 and back == inner:
                continue
            inner, sign = min([(inner, 1), (back, sign)], key=lambda w: [factor.key for factor in w[0]])
            coefficient = coefficient * sign
            left = (*left, DiagonalPart(Polynomial({inner: sp.S.One}, of.shape)))
        total = total + collect([((*left, *right), coefficient)], of.shape)
    return total


def inverse(of: Polynomial) -> Polynomial:
    """The inverse of a single word of square factors. Raises ``CalculusError`` for a sum: name it first."""
    if len(of.terms) != 1:
        raise CalculusError(f"a sum has no inverse as a product: {of}")
    ((word, coefficient),) = of.terms.items()
    if any(isinstance(factor, DiagonalPart) for factor in word):
        raise CalculusError(f"a diagonal part has no inverse before it is named: {of}")
    return collect([(tuple(factor.inverted() for factor in reversed(word)), 1 / coefficient)], of.shape)  # type: ignore[union-attr]


def polynomial(expression: Any) -> Polynomial:
    """A SymPy matrix expression of symbols, transposes, products, sums, inverses of symbols and diagonal parts.

    Raises ``CalculusError`` for another node.
    """
    shape = tuple(expression.shape)
    if isinstance(expression, sp.MatrixSymbol):
        return letter(expression)
    if isinstance(expression, sp.Identity):
        return identity(shape[0])
    if isinstance(expression, sp.ZeroMatrix):
        return zero(shape)
    if isinstance(expression, sp.MatAdd):
        total = zero(shape)
        for term in expression.args:
            total = total + polynomial(term)
        return total
    if isinstance(expression, sp.MatMul):
        coefficient, matrices = expression.as_coeff_matrices()
        product = identity(shape[0])
        for matrix in matrices:
            product = product @ polynomial(matrix)
        return Polynomial((product * coefficient).terms, shape)
    return _special(expression, shape)


def _special(expression: Any, shape: tuple[Any, Any]) -> Polynomial:
    if isinstance(expression, sp.Transpose):
        return polynomial(expression.arg).T
    if isinstance(expression, sp.DiagonalMatrix):
        return diagonal_part(polynomial(expression.arg))
    if isinstance(expression, sp.Inverse):
        return inverse(polynomial(expression.args[0]))
    if isinstance(expression, sp.MatPow) and expression.exp.is_Integer and expression.exp != 0:
        base = polynomial(expression.base)
        base = product = inverse(base) if expression.exp < 0 else base
        for _ in range(abs(int(expression.exp)) - 1):
            product = product @ base
        return product
    raise CalculusError(f"{type(expression).__name__} in {expression}: write sums and products of matrix symbols")
