"""A metric written as a trace of matrix expressions, in explicit components at small sizes.

The form is evaluated entry by entry in a polynomial ring over the rationals, localized at the polynomials that are
divided by: an inverse is its adjugate over its determinant, and common factors go by trial division alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial, reduce, singledispatchmethod
from operator import add, mul
from typing import Any

import sympy as sp
from sympy.matrices.expressions.diagonal import DiagMatrix
from sympy.matrices.expressions.hadamard import HadamardPower
from sympy.matrices.expressions.matexpr import MatrixElement
from sympy.polys.rings import ring

from symtheory.errors import CalculusError, MetricError, ShapeError
from symtheory.geometry.cofactors import adjugate_and_determinant
from symtheory.geometry.localization import Localized, Rows, inverse_matrix, localized_sum, over_common_denominator

EntrySymbols = Mapping[sp.Expr, tuple[sp.Symbol, ...]]

# Above this size the two indices of an entry are separated: G_1_11 is not G_11_1.
LARGEST_DIGIT = 9

RATIONAL = (sp.Rational, sp.Symbol, sp.Add, sp.Mul, sp.Trace, sp.Determinant, MatrixElement, sp.MatrixExpr)


def explicit_metric(
    form: sp.Expr, points: Sequence[sp.Expr], velocities: Sequence[sp.Expr]
) -> tuple[sp.ImmutableMatrix, tuple[sp.Symbol, ...]]:
    """The N×N matrix g of a quadratic form g(ξ, ξ), and its N coordinates.

    Args:
        form: scalar made of traces (or determinants, entries) of matrix expressions: MatrixSymbol of integer shape,
            sum, product, transpose, integer power, inverse, Hadamard product, diagonal, identity, explicit matrix.
            Whatever is neither point nor velocity is a constant. Dimensionless.
        points: the MatrixSymbols of the point (a plain Symbol for a scalar parameter), N entries together.
        velocities: the symbol of the velocity of each of them, in the same order and of the same shape.

    Returns:
        The symmetric matrix, and one real symbol for each entry of a point: parameter by parameter, row by row,
        named G_11, G_12, … (G_1_12 where a size exceeds nine; G__11 where G_11 is the name of something else).

    Raises:
        ShapeError: a size is not an integer, or points and velocities do not fit.
        MetricError: the form is not quadratic in the velocities, or divides by an expression that is zero everywhere.
        CalculusError: the form holds an operation that has no explicit components here.

    Example:
        >>> G, xi = sp.MatrixSymbol("G", 2, 1), sp.MatrixSymbol("xi", 2, 1)
        >>> explicit_metric(sp.Trace((G.T * G).inv() * xi.T * xi), [G], [xi])
        (Matrix([
        [1/(G_11**2 + G_21**2),                     0],
        [                    0, 1/(G_11**2 + G_21**2)]]), (G_11, G_21))
    """
    form = sp.sympify(form)
    _check_arguments(form, points, velocities)
    entries = _entry_symbols(form, points, velocities)
    moving = [symbol for velocity in velocities for symbol in entries[velocity]]
    form, functions, components = _components(form, entries, moving)
    # Term by term: over the common denominator of all terms the numerator would be much longer.
    terms = [components.scalar(term) for term in sp.Add.make_args(form)]
    metric = _coefficient_matrix(terms, len(moving)).xreplace(functions)
    return metric, tuple(symbol for point in points for symbol in entries[point])


def _check_arguments(form: sp.Expr, points: Sequence[sp.Expr], velocities: Sequence[sp.Expr]) -> None:
    if not points:
        raise MetricError("no parameter is given: name the symbols of the point and of its velocity")
    for symbol in sorted(form.atoms(sp.MatrixSymbol).union(points, velocities), key=str):
        if not all(size.is_Integer for size in _shape(symbol)):
            shape = "×".join(map(str, _shape(symbol)))
            raise ShapeError(f"{symbol} is {shape}: explicit components need integers, give every size a number")
    shapes = [[_shape(symbol) for symbol in symbols] for symbols in (points, velocities)]
    if shapes[0] != shapes[1]:
        raise ShapeError(f"points are {shapes[0]}, velocities {shapes[1]}: give each point a velocity of its shape")
    if len({*points, *velocities}) != 2 * len(points):
        raise MetricError("a symbol is named twice among points and velocities: give every parameter its own two")


def _shape(symbol: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    return symbol.shape if symbol.is_Matrix else (sp.S.One, sp.S.One)


def _entry_symbols(form: sp.Expr, points: Sequence[sp.Expr], velocities: Sequence[sp.Expr]) -> EntrySymbols:
    """Scalar symbols for the entries of every symbol: a velocity's are hidden, those of the others have own names."""
    hidden = set(velocities)
    others = form.atoms(sp.MatrixSymbol, sp.Symbol).difference(points, hidden)
    visible = [*points, *sorted(others, key=str)]
    taken = {symbol.name for symbol in visible}
    entries: dict[sp.Expr, tuple[sp.Symbol, ...]] = {}
    for symbol in visible:
        entries[symbol] = _named_entries(symbol, taken) if symbol.is_Matrix else (symbol,)
    for symbol in velocities:
        rows, columns = _shape(symbol)
        entries[symbol] = tuple(sp.Dummy(symbol.name, real=True) for _ in range(rows * columns))
    return entries


def _named_entries(symbol: sp.MatrixSymbol, taken: set[str]) -> tuple[sp.Symbol, ...]:
    separator = "_" if max(symbol.shape) > LARGEST_DIGIT else ""
    places = [f"_{i + 1}{separator}{j + 1}" for i in range(symbol.rows) for j in range(symbol.cols)]
    stem = symbol.name
    while not taken.isdisjoint(stem + place for place in places):
        stem += "_"
    taken.update(stem + place for place in places)
    return tuple(sp.Symbol(stem + place, real=True) for place in places)


def _components(
    form: sp.Expr, entries: EntrySymbols, moving: Sequence[sp.Symbol]
) -> tuple[sp.Expr, dict[sp.Symbol, sp.Expr], _Components]:
    """The form as a rational function, what its new symbols stand for, and components in a ring that ends on `moving`.

    A part that is no rational function (a root, an exponential) enters the ring as a symbol of its own.
    """
    parts: dict[sp.Expr, sp.Symbol] = {}
    walk = sp.preorder_traversal(form)
    for node in walk:
        if isinstance(node, sp.Expr) and not _is_rational(node):
            walk.skip()
            parts.setdefault(node, sp.Dummy(f"part_{len(parts)}"))
    functions = {name: _function(node, entries, moving) for node, name in parts.items()}
    still = [symbol for own in entries.values() for symbol in own if symbol not in set(moving)]
    extended = {**entries, **{name: (name,) for name in functions}}
    return form.xreplace(parts), functions, _Components(extended, [*still, *functions, *moving])


def _is_rational(node: sp.Expr) -> bool:
    return bool(node.exp.is_Integer) if isinstance(node, sp.Pow) else isinstance(node, RATIONAL)


def _function(node: sp.Expr, entries: EntrySymbols, moving: Sequence[sp.Symbol]) -> sp.Expr:
    """A function of scalars with its arguments in components. Raises MetricError where it depends on a velocity."""
    arguments = []
    for argument in node.args:
        rational, functions, components = _components(argument, entries, moving)
        arguments.append(components.scalar(rational).as_expr().xreplace(functions))
    result = node.func(*arguments) if arguments else node
    if result.free_symbols & set(moving):
        raise MetricError(f"the form is not quadratic in the velocities: {node} depends on them, keep them out of it")
    return result


def _coefficient_matrix(terms: Sequence[Localized], velocities: int) -> sp.ImmutableMatrix:
    """Matrix of a sum of terms that is a quadratic form in the last generators of their ring."""
    sums: dict[tuple[int, ...], Localized] = {}
    for term in terms:
        for exponents, coefficient in _by_velocities(term.reduced(), velocities).items():
            sums[exponents] = sums[exponents] + coefficient if exponents in sums else coefficient
    metric = sp.zeros(velocities)
    for exponents, coefficient in sums.items():
        if coefficient and sum(exponents) != 2:
            degree = sum(exponents)
            raise MetricError(f"the form is not quadratic in the velocities: a term has degree {degree} in them")
        if coefficient:
            i, j = (place for place, power in enumerate(exponents) for _ in range(power))
            metric[i, j] = metric[j, i] = coefficient.as_expr() / (1 if i == j else 2)
    return sp.ImmutableMatrix(metric)


def _by_velocities(value: Localized, velocities: int) -> dict[tuple[int, ...], Localized]:
    """Coefficients, in a ring without the velocities, of a fraction that is a polynomial in them."""
    ring = value.numerator.ring
    first = ring.ngens - velocities
    still = ring.clone(symbols=ring.symbols[:first])
    if any(any(exponents[first:]) for factor in value.powers for exponents in factor):
        raise MetricError("the form is not quadratic in the velocities: it divides by them")
    powers = {still.from_dict({e[:first]: c for e, c in f.items()}): power for f, power in value.powers.items()}
    numerators: dict[tuple[int, ...], dict[tuple[int, ...], Any]] = defaultdict(dict)
    for exponents, coefficient in value.numerator.items():
        numerators[exponents[first:]][exponents[:first]] = coefficient
    return {exponents: Localized(still.from_dict(terms), powers) for exponents, terms in numerators.items()}


class _Components:
    """Entries of matrix expressions as fractions over one polynomial ring.

    Args:
        entries: scalar symbols of every symbol, row by row.
        generators: all of them, in the order of the ring.
    """

    def __init__(self, entries: EntrySymbols, generators: Sequence[sp.Symbol]) -> None:
        self._entries = entries
        self._ring = ring(generators, sp.QQ)[0]
        self._generators = dict(zip(generators, self._ring.gens, strict=True))

    def scalar(self, expression: sp.Expr) -> Localized:
        """A scalar, or the one entry of a 1×1 matrix."""
        if expression.is_Matrix:
            rows = self.rows(expression)
            if len(rows) != 1 or len(rows[0]) != 1:
                raise MetricError(f"the form is {len(rows)}×{len(rows[0])}: take its trace")
            return rows[0][0]
        return self._scalar(expression)

    def _constant(self, value: Any) -> Localized:
        return Localized(self._ring.ground_new(self._ring.domain.from_sympy(sp.sympify(value))), {})

    def _symbol(self, entry: sp.Symbol) -> Localized:
        return Localized(self._generators[entry], {})

    @singledispatchmethod
    def _scalar(self, node: sp.Expr) -> Localized:
        raise CalculusError(f"{type(node).__name__} has no explicit components: write it with traces of products")

    @_scalar.register
    def _(self, node: sp.Rational) -> Localized:
        return self._constant(node)

    @_scalar.register
    def _(self, node: sp.Symbol) -> Localized:
        return self._symbol(self._entries[node][0])

    @_scalar.register
    def _(self, node: sp.Add) -> Localized:
        return reduce(add, map(self._scalar, node.args))

    @_scalar.register
    def _(self, node: sp.Mul) -> Localized:
        return reduce(mul, map(self._scalar, node.args))

    @_scalar.register
    def _(self, node: sp.Pow) -> Localized:
        return self._power(self._scalar(node.base), node.exp, node)

    @_scalar.register
    def _(self, node: sp.Trace) -> Localized:
        rows = self.rows(node.arg)
        return reduce(add, (row[place] for place, row in enumerate(rows)))

    @_scalar.register
    def _(self, node: sp.Determinant) -> Localized:
        numerators, powers = over_common_denominator(self.rows(node.arg))
        _, determinant = adjugate_and_determinant(numerators, self._ring.one)
        return Localized(determinant, {factor: power * len(numerators) for factor, power in powers.items()})

    @_scalar.register
    def _(self, node: MatrixElement) -> Localized:
        return self.rows(node.parent)[int(node.i)][int(node.j)]

    @singledispatchmethod
    def rows(self, node: sp.MatrixExpr) -> Rows:
        """Entries of a matrix expression."""
        raise CalculusError(f"{type(node).__name__} has no explicit components: write it with products and inverses")

    @rows.register
    def _(self, node: sp.MatrixSymbol) -> Rows:
        own = [self._symbol(entry) for entry in self._entries[node]]
        return [own[start : start + node.cols] for start in range(0, len(own), node.cols)]

    @rows.register(sp.Identity)
    @rows.register(sp.ZeroMatrix)
    @rows.register(sp.OneMatrix)
    @rows.register(sp.ImmutableDenseMatrix)
    def _(self, node: sp.MatrixExpr) -> Rows:
        return [[self._scalar(entry) for entry in row] for row in sp.Matrix(node).tolist()]

    @rows.register
    def _(self, node: sp.Transpose) -> Rows:
        return _transposed(self.rows(node.arg))

    @rows.register
    def _(self, node: sp.MatAdd) -> Rows:
        return reduce(partial(_entrywise, add), map(self.rows, node.args))

    @rows.register
    def _(self, node: sp.MatMul) -> Rows:
        coefficient, matrices = node.as_coeff_matrices()
        product = reduce(_matrix_product, map(self.rows, matrices))
        factor = self._scalar(coefficient)
        return [[factor * entry for entry in row] for row in product]

    @rows.register
    def _(self, node: sp.MatPow) -> Rows:
        if not node.exp.is_Integer:
            raise CalculusError(f"the power {node.exp} of a matrix has no explicit components: only integer powers do")
        base = self.rows(node.base)
        if node.exp.is_negative:
            base = self._inverse(base, node.base)
        return reduce(_matrix_product, [base] * abs(int(node.exp)))

    @rows.register
    def _(self, node: sp.HadamardProduct) -> Rows:
        return reduce(partial(_entrywise, mul), map(self.rows, node.args))

    @rows.register
    def _(self, node: HadamardPower) -> Rows:
        return [[self._power(entry, node.exp, node) for entry in row] for row in self.rows(node.base)]

    @rows.register
    def _(self, node: sp.DiagonalMatrix) -> Rows:
        zero = self._constant(0)
        rows = self.rows(node.arg)
        return [[entry if i == j else zero for j, entry in enumerate(row)] for i, row in enumerate(rows)]

    @rows.register
    def _(self, node: DiagMatrix) -> Rows:
        zero = self._constant(0)
        entries = [entry for row in self.rows(node.args[0]) for entry in row]
        return [[entry if i == j else zero for j in range(len(entries))] for i, entry in enumerate(entries)]

    def _inverse(self, rows: Rows, node: sp.MatrixExpr) -> Rows:
        try:
            return inverse_matrix(rows)
        except ZeroDivisionError as error:
            raise MetricError(f"{node} has no inverse anywhere: a form that divides by it is no metric") from error

    def _power(self, base: Localized, exponent: sp.Expr, node: sp.Expr) -> Localized:
        if not exponent.is_Integer:
            raise CalculusError(f"the power {exponent} in {node} has no explicit components: only integer powers do")
        if exponent.is_negative and not base:
            raise MetricError(f"{node} divides by zero everywhere: leave that term out")
        factor = base.reciprocal() if exponent.is_negative else base
        return reduce(mul, [factor] * abs(int(exponent)), self._constant(1))


def _transposed(rows: Rows) -> Rows:
    return [list(column) for column in zip(*rows, strict=True)]


def _entrywise(operation: Callable[[Localized, Localized], Localized], left: Rows, right: Rows) -> Rows:
    pairs = (zip(a, b, strict=True) for a, b in zip(left, right, strict=True))
    return [[operation(a, b) for a, b in pair] for pair in pairs]


def _matrix_product(left: Rows, right: Rows) -> Rows:
    columns = _transposed(right)
    return [[_dot(row, column) for column in columns] for row in left]


def _dot(row: Sequence[Localized], column: Sequence[Localized]) -> Localized:
    return localized_sum((a * b for a, b in zip(row, column, strict=True)), row[0].numerator.ring)
