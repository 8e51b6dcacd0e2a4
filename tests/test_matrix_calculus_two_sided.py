"""Linear maps of matrices: read off a polynomial, sorted by how they are inverted."""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp
from numpy.testing import assert_allclose

from symtheory.errors import CalculusError
from symtheory.matrix_calculus.definitions import Definitions
from symtheory.matrix_calculus.evaluate import evaluate, evaluate_definitions
from symtheory.matrix_calculus.polynomial import inverse, letter, polynomial, zero
from symtheory.matrix_calculus.symbols import DiagonalSymbol, SkewSymbol, SymmetricSymbol
from symtheory.matrix_calculus.two_sided import TwoSidedOperator, skew_part, two_sided

h, n = 3, 4
A, S = sp.MatrixSymbol("A", h, h), SkewSymbol("S", h, h)
G, H = sp.MatrixSymbol("G", n, h), sp.MatrixSymbol("H", n, h)
K, M, L = (SymmetricSymbol(name, h, h) for name in "KML")
D, E = DiagonalSymbol("D", h, h), DiagonalSymbol("E", h, h)
X = sp.MatrixSymbol("X", h, h)
p = polynomial

OPERATORS = {
    "zero": (zero((h, h)), "zero"),
    "one term": (p(K * A * M), "product"),
    "a multiple": (p(A) * 2, "product"),
    "two alike": (p(K * A * M) + p(K * A * M), "product"),
    "alike on the left": (p(K * A * M) + p(K * A * D), "product"),
    "alike on the right": (p(K * A * M) - p(D * A * M) * 2, "product"),
    "a rectangle of terms": (p(K * A * M) + p(K * A * D) + p(E * A * M) + p(E * A * D), "product"),
    "Sylvester": (p(K * A) + p(A * M), "sylvester"),
    "two products": (p(K * A * M) * 3 + p(D * A * L), "sylvester"),
    "reciprocal": (p(K) @ p(A) @ inverse(p(K)) + inverse(p(M)) @ p(A) @ p(M), "sylvester"),
    "half reciprocal": (p(K) @ p(A) @ inverse(p(K)) + p(M * A * M), "sylvester"),
    "three terms": (p(K * A * M) + p(D * A * L) + p(A), "general"),
    "transposed": (p(K * A.T * M), "general"),
    "straight and transposed": (p(K * A * M) + p(X * A.T * X.T), "general"),
    "that cancels": (p(K * A * M) - p(K * A * M), "zero"),
}


def _values(seed: int) -> dict:
    rng = np.random.default_rng(seed)
    values = {symbol: rng.standard_normal(tuple(map(int, symbol.shape))) for symbol in (G, H, X)}
    for symbol in (K, M, L):
        square = rng.standard_normal((h, h))
        values[symbol] = np.eye(h) * 4 + square + square.T
    for symbol in (D, E):
        values[symbol] = np.diag(rng.uniform(1, 2, h))
    return values


def _applied(operator: TwoSidedOperator, argument: np.ndarray, values: dict) -> np.ndarray:
    total = np.zeros((h, h))
    for terms, inner in ((operator.straight, argument), (operator.crossed, argument.T)):
        for left, right in terms:
            total = total + evaluate(left, values) @ inner @ evaluate(right, values)
    return total


@pytest.mark.parametrize("name", OPERATORS)
def test_the_operator_at_a_random_matrix_is_the_polynomial(name):
    value, _ = OPERATORS[name]
    operator, values = two_sided(value, A, Definitions()), _values(1)
    argument = np.random.default_rng(2).standard_normal((h, h))
    assert_allclose(_applied(operator, argument, values), evaluate(value, {**values, A: argument}), atol=1e-11)


@pytest.mark.parametrize("name", OPERATORS)
def test_how_the_operator_is_inverted(name):
    value, kind = OPERATORS[name]
    assert two_sided(value, A, Definitions()).kind == kind


def test_only_products_with_their_inverses_are_reciprocal():
    reciprocal = {name for name, (value, _) in OPERATORS.items() if two_sided(value, A, Definitions()).is_reciprocal}
    assert reciprocal == {"reciprocal"}


@pytest.mark.parametrize("value", [p(K), p(A * K * A), p(A.T * A), p(A) + p(K)], ids=str)
def test_what_is_not_linear_is_refused(value):
    with pytest.raises(CalculusError, match="is not linear in A"):
        two_sided(value, A, Definitions())


def test_sides_that_have_names_are_called_by_them():
    definitions = Definitions()
    gram = definitions.matrix("gram", p(G.T * G))
    named = two_sided(p(G.T * G * A), A, definitions)
    assert named.straight == ((letter(gram), polynomial(sp.Identity(h))),)


def test_sums_that_have_names_are_called_by_them():
    definitions = Definitions()
    total = definitions.matrix("total", p(G.T * G) + p(H.T * H))
    summed = two_sided(p(G.T * G * A * K) + p(H.T * H * A * K), A, definitions)
    assert summed.straight == ((letter(total), letter(K)),)
    values = evaluate_definitions(definitions, _values(3))
    argument = np.random.default_rng(4).standard_normal((h, h))
    expected = (values[G].T @ values[G] + values[H].T @ values[H]) @ argument @ values[K]
    assert_allclose(_applied(summed, argument, values), expected, atol=1e-11)


@pytest.mark.parametrize("value", [p(K * S * M), p(K * S) + p(S * M), p(X * S.T * X.T) + p(S), p(K * S * X)], ids=str)
def test_the_skew_part_is_that_of_the_value(value):
    values = _values(5)
    square = np.random.default_rng(6).standard_normal((h, h))
    argument = square - square.T
    whole = evaluate(value, {**values, S: argument})
    operator = skew_part(two_sided(value, S, Definitions()), Definitions())
    assert not operator.crossed
    assert_allclose(_applied(operator, argument, values), (whole - whole.T) / 2, atol=1e-11)


def test_terms_are_positive_where_both_sides_are_symmetric_and_carry_no_minus():
    operator = TwoSidedOperator(((p(K), p(M)), (p(K) * -1, p(M)), (p(K * M), p(M)), (p(X.T * X), p(K) * 2)))
    assert operator.positive == (operator.straight[0], operator.straight[3])
