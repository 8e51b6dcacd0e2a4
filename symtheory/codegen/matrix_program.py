"""Polynomials in matrices as torch statements: shared products named, products in the cheapest order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import sympy as sp

from symtheory.codegen.code import Code, Level, join_product, join_sum
from symtheory.codegen.layout import INDENT, fold_statement
from symtheory.codegen.lowering import lower
from symtheory.codegen.paragraph import fold_paragraph
from symtheory.codegen.printer import TorchSourcePrinter, coefficient_factors
from symtheory.codegen.product_order import NARROW, ProductOrder, is_centring, is_diagonal
from symtheory.codegen.statements import Statements
from symtheory.errors import CodegenError
from symtheory.matrix_calculus.definitions import Definitions
from symtheory.matrix_calculus.polynomial import DiagonalPart, Factor, Letter, Polynomial, Word, transposed
from symtheory.matrix_calculus.symbols import DiagonalSymbol, SymmetricSymbol
from symtheory.matrix_calculus.trace_form import TraceForm

Value = Polynomial | TraceForm


class MatrixProgram:
    """Writes statements that compute polynomials and traces.

    A matrix is a tensor (*batch, *copies, rows, columns), a diagonal matrix the tensor (*batch, *copies, size) of its
    diagonal, a number a tensor (*batch, *copies).

    body: the function's statements so far; variables: symbol → name of the variable that holds it; narrow: sizes on
    which a group acts.
    """

    def __init__(self, body: Statements, variables: Mapping[Any, str], narrow: Iterable[sp.Symbol] = ()) -> None:
        self.body = body
        self.variables = dict(variables)
        self.order = ProductOrder(frozenset(narrow))
        self._inverses: dict[Any, str] = {}
        self._products: dict[Word, str] = {}
        self._uses: Counter[Word] = Counter()

    # What is shared

    def expect(self, values: Iterable[Value]) -> None:
        """Count the products that these values will need, so that those needed twice get a name."""
        for value in values:
            for word, _ in value:
                parts = self.order.traced(word) if isinstance(value, TraceForm) and len(word) > 1 else (word,)
                for part in parts:
                    self._expect(part)

    def _expect(self, word: Word) -> None:
        for factor in word:
            if isinstance(factor, DiagonalPart):
                for inner, _ in factor.of:
                    for half in self.order.halves(inner) if len(inner) > 1 else (inner,):
                        self._expect(half)
        if len(word) < 2:
            return
        key = self._key(word)
        self._uses[key] += 1
        if self._uses[key] == 1:
            cut = self.order.split(word)
            self._expect(word[:cut])
            self._expect(word[cut:])

    def _key(self, word: Word) -> Word:
        """One of the word and its transpose, the same for both."""
        return min(word, transposed(word), key=_orientation)

    # Statements

    def define(self, definitions: Definitions, symbols: Iterable[Any]) -> None:
        """One statement for each symbol, with its mathematics in a comment."""
        for symbol in symbols:
            value = definitions[symbol]
            name = self.body.names.unique(symbol.name)
            source = self.source(value, diagonal=isinstance(symbol, DiagonalSymbol))
            self.comment(f"{symbol.name} = {as_formula(value)}")
            self.body.assign(name, source)
            self.variables[symbol] = name

    def assign(self, name: str, value: Value, comment: str = "", *, diagonal: bool = False) -> str:
        """A statement for a value under a wished name; returns the name."""
        source = self.source(value, diagonal=diagonal)
        if source.isidentifier():
            return source
        if comment:
            self.comment(comment)
        return self.body.assign(self.body.names.unique(name), source)

    def assign_source(self, name: str, source: str) -> str:
        """A statement for source that is written already; returns the name of its variable."""
        return self.body.assign(self.body.names.unique(name), source)

    def assign_pair(self, first: str, second: str, source: str) -> tuple[str, str]:
        """A statement that unpacks two results."""
        names = self.body.names.unique(first), self.body.names.unique(second)
        self.body.lines += fold_statement(f"{names[0]}, {names[1]} = ", source)
        return names

    def comment(self, text: str) -> None:
        """A comment line, folded."""
        self.body.lines += fold_paragraph(f"# {text}", INDENT, "# ")

    def plain(self, value: Value) -> str:
        """A value as source; counts what it shares first."""
        self.expect([value])
        return self.source(value)

    def source(self, value: Value, *, diagonal: bool = False) -> str:
        """A value as source; statements for what it shares go before it."""
        pair = None if isinstance(value, TraceForm) or diagonal else self._two_products(value)
        if pair is not None:
            return pair
        traced = isinstance(value, TraceForm)
        size = None if isinstance(value, TraceForm) else value.shape[0]
        terms = [self._term(word, c, size, traced=traced, diagonal=diagonal) for word, c in value]
        return str(join_sum(terms)) if terms else "0"

    def _two_products(self, value: Polynomial) -> str | None:
        """A matrix or a product plus another product, accumulated in one buffer; None where it is no such sum."""
        terms = sorted(value, key=lambda term: (len(term[0]) > 1, term[1] != 1))
        if len(terms) != 2 or terms[0][1] != 1 or not terms[1][1].is_number:
            return None
        (first, _), (second, factor) = terms
        if len(first) == 1 and isinstance(first[0], Letter) and self._is_large_product(second):
            cut = self.order.split(second)
            sides = [str(self.product(word)) for word in (first, second[:cut], second[cut:])]
            return f"_add_product({', '.join(sides)}, {float(factor)!r})"
        if not all(self._is_large_product(word) for word, _ in terms):
            return None
        sides = []
        for word, _ in terms:
            cut = self.order.split(word)
            sides += [str(self.product(word[:cut])), str(self.product(word[cut:]))]
        return f"_add_products({', '.join(sides)}, {float(terms[1][1])!r})"

    def _is_large_product(self, word: Word) -> bool:
        """Whether a word ends in one product of two matrices, with a free dimension, and has no name yet."""
        if len(word) < 2 or self._uses[self._key(word)] > 1 or self.order.entries(word) <= NARROW**2:
            return False
        cut = self.order.split(word)
        return not any(is_diagonal(part) or is_centring(part) for part in (word[:cut], word[cut:]))

    def _term(self, word: Word, coefficient: sp.Expr, size: Any, *, traced: bool, diagonal: bool) -> tuple[bool, Code]:
        number, scalar = coefficient.as_independent(*coefficient.free_symbols, as_Add=False)
        numerator, denominator = coefficient_factors(abs(number))
        axes = "" if traced else "[..., None]" if diagonal else "[..., None, None]"
        if scalar != 1:
            code = self._scalar(scalar)
            numerator.append(Code(f"{code.at_least(Level.ATOM)}{axes}") if axes else code)
        if not word and diagonal:
            return bool(number.is_negative), join_product(numerator or [Code("1")], denominator)
        matrix = self._identity(size) if not word else self._trace(word) if traced else self.product(word)
        return bool(number.is_negative), join_product([*numerator, matrix], denominator)

    def _identity(self, size: Any) -> Code:
        """An identity matrix, its dtype and device those of a variable that has its size."""
        read = self.size(size)
        like = read.partition(".")[0]
        return Code(f"torch.eye({read}, dtype={like}.dtype, device={like}.device)")

    def size(self, size: Any) -> str:
        """Source that reads a size off a variable. Raises ``CodegenError`` where none has it."""
        for symbol, variable in self.variables.items():
            if isinstance(symbol, sp.MatrixSymbol) and size in symbol.shape and variable.isidentifier():
                axis = -1 if symbol.shape[1] == size or isinstance(symbol, DiagonalSymbol) else -2
                return f"{variable}.shape[{axis}]"
        raise CodegenError(f"nothing in the function tells the size {size}")

    def _scalar(self, scalar: sp.Expr) -> Code:
        tensors = {symbol: self.variables[symbol] for symbol in scalar.free_symbols if symbol in self.variables}
        sizes = {symbol: self.size(symbol) for symbol in scalar.free_symbols if symbol not in self.variables}
        printer = TorchSourcePrinter({**tensors, **sizes}, next(iter(tensors.values()), ""), plain=sizes)
        return printer.source(lower(scalar, frozenset()))

    def _trace(self, word: Word) -> Code:
        if len(word) == 1:
            code = self.product(word).at_least(Level.ATOM)
            return Code(f"{code}.sum(-1)" if is_diagonal(word) else f"{code}.diagonal(dim1=-2, dim2=-1).sum(-1)")
        left, right = self.order.traced(word)
        if is_diagonal(left) or is_diagonal(right):
            vectors = [self.product(p) if is_diagonal(p) else self._diagonal_of(p) for p in (left, right)]
            return Code(f"({join_product(vectors, [])}).sum(-1)")
        return Code(f"{self._entrywise(left, right)}.sum((-2, -1))")

    def _entrywise(self, left: Word, right: Word) -> str:
        """left ⊙ rightᵀ, whose entries add up to the trace of left · right."""
        if left == transposed(right):
            return f"{self.product(left).at_least(Level.ATOM)}.square()"
        return f"({join_product([self.product(left), self.product(transposed(right))], [])})"

    def _diagonal_of(self, word: Word) -> Code:
        """The diagonal of a product as a vector."""
        if len(word) == 1:
            return Code(f"{self.product(word).at_least(Level.ATOM)}.diagonal(dim1=-2, dim2=-1)")
        left, right = self.order.halves(word)
        if self._is_written_transposed(left):
            return Code(f"{self._entrywise(transposed(left), transposed(right))}.sum(-2)")
        return Code(f"{self._entrywise(left, right)}.sum(-1)")

    def _is_written_transposed(self, word: Word) -> bool:
        return len(word) == 1 and isinstance(word[0], Letter) and word[0].transposed

    def product(self, word: Word) -> Code:
        """A product; one that is needed again gets a name."""
        if not word:
            raise CodegenError("an identity matrix in a product")  # words are reduced: this is a mistake here
        if len(word) == 1:
            return self._factor(word[0])
        key = self._key(word)
        if key not in self._products and self._uses[key] > 1:
            self._name_product(key)
        if key in self._products:
            name = self._products[key]
            return Code(name if key == word or is_diagonal(word) else f"{name}.mT")
        return self._product(word)

    def _name_product(self, word: Word) -> None:
        source = str(self._product(word))
        wish = "_".join(_name_of(factor) for factor in word)
        name = self.body.names.numbered(wish if len(wish) <= 24 else "product")
        self.comment(f"{name} = {as_formula(Polynomial({word: sp.S.One}, (1, 1)))}")
        self.body.lines += fold_statement(f"{name} = ", source)
        self._products[word] = name
        self.order.know(word)

    def _product(self, word: Word) -> Code:
        cut = self.order.split(word) or 1
        left, right = word[:cut], word[cut:]
        if is_diagonal(left) and is_diagonal(right):
            return join_product([self.product(left), self.product(right)], [])
        if is_centring(left) or is_centring(right):
            other, axis = (right, -2) if is_centring(left) else (left, -1)
            key = self._key(other)
            if len(other) > 1 and key not in self._products:
                self._name_product(key)  # it occurs twice below
            code = self.product(other)
            return Code(f"({code.at_least(Level.SUM)} - {code.at_least(Level.ATOM)}.mean({axis}, keepdim=True))")
        first, second = self.product(left), self.product(right)
        if left == transposed(right) and len(left) == 1:
            return Code(f"_gram({second})")
        if is_diagonal(left):
            return join_product([Code(f"{first.at_least(Level.ATOM)}[..., :, None]"), second], [])
        if is_diagonal(right):
            return join_product([first, Code(f"{second.at_least(Level.ATOM)}[..., None, :]")], [])
        return join_product([first, second], [], operator="@")

    def _factor(self, factor: Factor) -> Code:
        if isinstance(factor, DiagonalPart):
            terms = []
            for word, coefficient in factor.of:
                number, _ = coefficient.as_independent(*coefficient.free_symbols, as_Add=False)
                numerator, denominator = coefficient_factors(abs(number))
                code = join_product([*numerator, self._diagonal_of(word)], denominator)
                terms.append((bool(number.is_negative), code))
            return join_sum(terms) if len(terms) > 1 else terms[0][1]
        name = self._inverse(factor.symbol) if factor.inverse else self.variables[factor.symbol]
        return Code(f"{name}.mT" if factor.transposed else name)

    def _inverse(self, symbol: Any) -> str:
        if symbol not in self._inverses:
            whole = self.variables[symbol]
            diagonal = isinstance(symbol, DiagonalSymbol)
            positive = isinstance(symbol, SymmetricSymbol)
            source = f"1 / {whole}" if diagonal else f"{'_inverse' if positive else 'torch.linalg.inv'}({whole})"
            self._inverses[symbol] = self.body.assign(self.body.names.unique(f"inverse_{symbol.name}"), source)
        return self._inverses[symbol]


def _orientation(word: Word) -> tuple[Any, ...]:
    """Fewest transposes first, then by name."""
    turned = sum(isinstance(factor, Letter) and factor.transposed for factor in word)
    return turned, [factor.key for factor in word]


def _name_of(factor: Factor) -> str:
    if isinstance(factor, DiagonalPart):
        return "diagonal"
    return f"inverse_{factor.symbol.name}" if factor.inverse else str(factor.symbol.name)


def as_formula(value: Value) -> str:
    """A polynomial or trace to read: Gᵀ G, gram_G⁻¹ ξ …"""
    text = ""
    for word, coefficient in value:
        number, scalar = coefficient.as_independent(*coefficient.free_symbols, as_Add=False)
        size = sp.Abs(number) * scalar
        body = " ".join(_factor_formula(factor) for factor in word) or "1"
        body = f"Tr({body})" if isinstance(value, TraceForm) else body
        shown = body if size == 1 else f"{_bracketed(size)} {body}"
        sign = "-" if number.is_negative else "+"
        text += f" {sign} {shown}" if text else (f"-{shown}" if sign == "-" else shown)
    return text or "0"


def _bracketed(size: sp.Expr) -> str:
    text = str(size)
    return text if size.is_Atom else f"({text})"


def _factor_formula(factor: Factor) -> str:
    if isinstance(factor, DiagonalPart):
        return f"diag({as_formula(factor.of)})"
    text = str(factor.symbol.name)
    if factor.inverse:
        return f"{text}⁻ᵀ" if factor.transposed else f"{text}⁻¹"
    return f"{text}ᵀ" if factor.transposed else text
