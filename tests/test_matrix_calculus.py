"""Polynomials in matrices that do not commute: their rules, and their values against plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as some
from matrix_cases import STEP, number
from numpy.testing import assert_allclose

from symtheory.errors import CalculusError
from symtheory.matrix_calculus.definitions import Definitions, fold
from symtheory.matrix_calculus.evaluate import evaluate, evaluate_definitions
from symtheory.matrix_calculus.polynomial import (
    Polynomial,
    diagonal_part,
    identity,
    inverse,
    letter,
    polynomial,
    zero,
)
from symtheory.matrix_calculus.symbols import CenteringSymbol, DiagonalSymbol, SkewSymbol, SymmetricSymbol
from symtheory.matrix_calculus.trace_form import (
    TraceForm,
    differential,
    gradient,
    scalar_gradient,
    trace,
    trace_differential,
    trace_form,
)

n, h = sp.symbols("n h", integer=True, positive=True)
A, B = sp.MatrixSymbol("A", n, h), sp.MatrixSymbol("B", h, n)
X, Y = sp.MatrixSymbol("X", h, h), sp.MatrixSymbol("Y", h, h)
K, D, S = SymmetricSymbol("K", h, h), DiagonalSymbol("D", h, h), SkewSymbol("S", h, h)
E = DiagonalSymbol("E", h, h)
C = CenteringSymbol("C", h, h)
a = sp.Symbol("a", real=True)

SIZES = {n: 4, h: 3}
ROUNDING = 1e-10
"""Relative. Up to ten factors of size one to three, with condition numbers below ten."""


def random_values(seed: int) -> dict:
    """Well-conditioned values of all symbols, each of its own kind."""
    rng = np.random.default_rng(seed)
    near = {symbol: np.eye(3) + 0.2 * rng.standard_normal((3, 3)) for symbol in (X, Y)}
    skew, symmetric = 0.3 * rng.standard_normal((2, 3, 3))
    return {
        **SIZES,
        A: rng.standard_normal((4, 3)),
        B: rng.standard_normal((3, 4)),
        **near,
        K: np.eye(3) + (symmetric + symmetric.T) / 4,
        S: skew - skew.T + 1e-3 * np.array([[0, 1, -1], [-1, 0, 1], [1, -1, 0]]),
        D: np.diag(rng.uniform(0.5, 2, 3)),
        E: np.diag(rng.uniform(0.5, 2, 3)),
        a: float(rng.uniform(0.5, 2)),
    }


def changes_of(seed: int) -> dict:
    """A random change of every symbol that keeps it of its kind."""
    rng = np.random.default_rng(1000 + seed)
    square = rng.standard_normal((5, 3, 3))
    return {
        A: rng.standard_normal((4, 3)),
        B: rng.standard_normal((3, 4)),
        X: square[0],
        Y: square[1],
        K: square[2] + square[2].T,
        S: square[3] - square[3].T,
        D: np.diag(rng.standard_normal(3)),
        E: np.diag(rng.standard_normal(3)),
        a: float(rng.standard_normal()),
    }


def close(actual, desired) -> None:
    assert_allclose(actual, desired, rtol=0, atol=ROUNDING * max(1.0, np.abs(desired).max()))


def slope(expression, values: dict, change: dict) -> np.ndarray:
    """The derivative along a change, by a complex step."""
    moved = {key: value + 1j * STEP * change[key] if key in change else value for key, value in values.items()}
    return np.imag(number(expression, moved)) / STEP


# -- Random expressions ------------------------------------------------------------------------------------------------

leaves = some.sampled_from(
    [K, D, E, S, C, X, X.T, Y, A.T * A, B * A, B * B.T, K.inv(), X.inv(), X.inv().T, D.inv(), sp.Identity(h), a * X]
)
expressions = some.recursive(
    leaves,
    lambda inner: some.one_of(
        some.tuples(inner, inner).map(lambda pair: sp.MatMul(*pair)),
        some.tuples(inner, inner).map(lambda pair: sp.MatAdd(*pair)),
        inner.map(sp.Transpose),
        inner.map(lambda e: sp.DiagonalMatrix(e)),
        inner.map(lambda e: sp.MatMul(sp.Rational(-2, 3), e)),
    ),
    max_leaves=6,
)


def outer(expression):
    """Never a multiple of the identity, whose trace is no form."""
    return sp.MatMul(B, A, expression)


seeds = some.integers(0, 20)
many = settings(max_examples=60)


@given(expressions, seeds)
@many
def test_a_polynomial_has_the_value_of_its_expression(expression, seed):
    values = random_values(seed)
    close(evaluate(polynomial(expression), values), number(expression, values))


@given(expressions, seeds)
@many
def test_a_polynomial_written_as_an_expression_has_its_value_and_is_read_back(expression, seed):
    values, found = random_values(seed), polynomial(expression)
    close(number(found.expression(), values), evaluate(found, values))
    close(evaluate(polynomial(found.expression()), values), evaluate(found, values))


@given(expressions, expressions, seeds)
@many
def test_sums_products_and_transposes_are_those_of_values(first, second, seed):
    values = random_values(seed)
    p, q = polynomial(first), polynomial(second)
    left, right = evaluate(p, values), evaluate(q, values)
    close(evaluate(p + q, values), left + right)
    close(evaluate(p - q, values), left - right)
    close(evaluate(p @ q, values), left @ right)
    close(evaluate(p * (3 * a), values), 3 * values[a] * left)
    close(evaluate(p.T, values), left.T)
    close(evaluate(diagonal_part(p), values), np.diag(np.diag(left)))


@given(expressions)
@many
def test_a_polynomial_minus_itself_is_zero(expression):
    found = polynomial(expression)
    assert not found - found
    assert found + zero(found.shape) == found


@given(expressions, seeds)
@many
def test_replacing_symbols_replaces_their_values(expression, seed):
    values = random_values(seed)
    found = polynomial(expression).replaced({Y: letter(X) @ letter(K), B: letter(A).T, a: a**2})
    moved = {**values, Y: values[X] @ values[K], B: values[A].T, a: values[a] ** 2}
    close(evaluate(found, values), evaluate(polynomial(expression), moved))


@given(expressions, seeds)
@many
def test_differentials_are_slopes(expression, seed):
    values, change = random_values(seed), changes_of(seed)
    symbols = {symbol: sp.MatrixSymbol(f"d{symbol.name}", *symbol.shape) for symbol in change if symbol != a}
    moved = differential(
        polynomial(expression), {**{symbol: letter(d) for symbol, d in symbols.items()}, a: sp.Symbol("da")}
    )
    known = {**values, sp.Symbol("da"): change[a], **{d: change[symbol] for symbol, d in symbols.items()}}
    close(evaluate(moved, known), slope(expression, values, change))


@given(expressions, seeds)
@many
def test_gradients_are_slopes_of_traces(expression, seed):
    """Along changes that keep a symbol symmetric, diagonal or skew; the other symbols are held fixed."""
    values, change = random_values(seed), changes_of(seed)
    form = trace(polynomial(outer(expression)))
    for symbol in (A, B, X, Y, K, S, D, E):
        expected = slope(sp.Trace(outer(expression)), values, {symbol: change[symbol]})
        close((evaluate(gradient(form, symbol), values) * change[symbol]).sum(), expected)
    close(
        evaluate(scalar_gradient(form, a), values),
        slope(sp.Trace(outer(expression)), values, {a: change[a]}) / change[a],
    )


@given(expressions, seeds)
@many
def test_differentials_of_traces_are_slopes(expression, seed):
    values, change = random_values(seed), changes_of(seed)
    dX, da = sp.MatrixSymbol("dX", h, h), sp.Symbol("da")
    moved = trace_differential(trace(polynomial(outer(expression))), {X: letter(dX), a: da})
    expected = slope(sp.Trace(outer(expression)), values, {X: change[X], a: change[a]})
    close(evaluate(moved, {**values, dX: change[X], da: change[a]}), expected)


def test_finite_differences_agree_with_complex_steps():
    """Of a form with an inverse and nested diagonal parts; central differences are good to the square of their step."""
    values, change, step = random_values(0), changes_of(0), 1e-5
    inner = sp.DiagonalMatrix(X * sp.DiagonalMatrix(X.T * K * X) * Y.inv())
    expression = sp.Trace(inner * X * D * K)
    form, total = trace_form(expression), 0.0
    for symbol in (X, Y, K, D):
        total += (evaluate(gradient(form, symbol), values) * change[symbol]).sum()
    sides = [
        evaluate(form, {**values, **{s: values[s] + sign * step * change[s] for s in (X, Y, K, D)}}) for sign in (1, -1)
    ]
    assert_allclose(total, (sides[0] - sides[1]) / (2 * step), rtol=1e-7)


# -- Rules -------------------------------------------------------------------------------------------------------------

p = polynomial


def test_inverses_cancel_against_what_they_invert():
    assert p(K) @ inverse(p(K)) == identity(h)
    assert identity(h) == inverse(p(X)).T @ p(X).T
    assert p(A) @ p(X) @ p(K) @ inverse(p(X) @ p(K)) == p(A)
    assert inverse(p(X) @ p(Y) * 2) == inverse(p(Y)) @ inverse(p(X)) * sp.S.Half
    assert p(X) @ inverse(p(X)).T != identity(h)


def test_centring_is_its_own_square_and_transpose():
    assert p(C) @ p(C) == p(C)
    assert p(C).is_symmetric
    assert p(C) @ p(K) @ inverse(p(K)) @ p(C) == p(C)
    assert p(C) @ p(X) @ p(C) != p(C) @ p(X)


def test_a_skew_symbol_is_minus_its_transpose():
    assert p(S) + p(S).T == zero((h, h))
    assert (p(S) @ p(S)).is_symmetric
    assert not p(S).is_symmetric
    assert p(S.T * X) == p(S) @ p(X) * -1
    assert not diagonal_part(p(S))


def test_symmetric_symbols_are_their_transposes_and_others_are_not():
    assert p(K).is_symmetric
    assert p(A * K.inv() * A.T).is_symmetric
    assert not p(X).is_symmetric
    assert not p(K * X).is_symmetric


def test_diagonal_matrices_commute():
    assert p(D) @ p(E) == p(E) @ p(D)
    assert p(D) @ diagonal_part(p(X)) == diagonal_part(p(X)) @ p(D)
    assert p(D) @ p(E) @ inverse(p(D)) == p(E)
    assert p(D) @ p(X) != p(X) @ p(D)


def test_diagonal_parts_of_a_matrix_and_its_transpose_are_one():
    assert diagonal_part(p(X)) == diagonal_part(p(X).T)
    assert diagonal_part(p(B * A)) == diagonal_part(p(A.T * B.T))
    assert diagonal_part(p(X * K * Y)) == diagonal_part(p(Y.T * K * X.T))


def test_diagonal_factors_come_out_of_a_diagonal_part():
    assert diagonal_part(p(D)) == p(D)
    assert diagonal_part(identity(h)) == identity(h)
    assert diagonal_part(p(D * X * E)) == p(D) @ diagonal_part(p(X)) @ p(E)
    assert diagonal_part(diagonal_part(p(X))) == diagonal_part(p(X))


@pytest.mark.parametrize("value", [p(X) + p(Y), zero((h, h)), diagonal_part(p(X))], ids=str)
def test_what_is_no_single_word_has_no_inverse(value):
    with pytest.raises(CalculusError, match="has no inverse"):
        inverse(value)


@pytest.mark.parametrize(
    "expression",
    [sp.HadamardProduct(X, Y), sp.OneMatrix(h, h), sp.KroneckerProduct(X, Y), X**a, (X + Y).inv()],
    ids=str,
)
def test_other_nodes_are_refused(expression):
    with pytest.raises(CalculusError):
        polynomial(expression)


@pytest.mark.parametrize("expression", [a, sp.Trace(X) * sp.Trace(Y), sp.Trace(X) + 1, sp.Trace(X) ** 2], ids=str)
def test_what_is_no_sum_of_traces_is_refused(expression):
    with pytest.raises(CalculusError, match="is not a multiple of one trace"):
        trace_form(expression)


def test_powers_are_repeated_products():
    assert p(X**3) == p(X) @ p(X) @ p(X)


# -- Traces ------------------------------------------------------------------------------------------------------------

# One diagonal symbol alone: next to another one, the order of both is not settled in a trace.
factors = some.lists(some.sampled_from([X, X.T, Y, Y.T, K, D, S, A.T * A, B * A, K.inv(), C]), min_size=1, max_size=6)


@given(factors, some.integers(0, 5))
@many
def test_traces_are_alike_up_to_rotation_and_transposition(word, turn):
    turn %= len(word)
    whole, turned = p(sp.MatMul(*word)), p(sp.MatMul(*word[turn:], *word[:turn]))
    form = trace(whole)
    assert form == trace(turned)
    assert form == trace(whole.T)
    assert not form + trace(turned.T) * -1


@given(factors)
@many
def test_the_trace_of_a_word_with_its_reverse_around_a_skew_symbol_is_zero(word):
    around = p(sp.MatMul(*word))
    assert not trace(around @ p(S) @ around.T)
    assert trace(around @ p(S) @ p(X) @ around.T)


@given(expressions, seeds)
@many
def test_a_trace_form_has_the_value_of_its_trace(expression, seed):
    values = random_values(seed)
    form = trace(polynomial(outer(expression))) * 3 + trace(p(Y)) * -a
    expected = number(3 * sp.Trace(outer(expression)) - a * sp.Trace(Y), values)
    close(evaluate(form, values), expected)
    close(number(form.expression(), values), expected)


def test_sums_of_traces_are_read_term_by_term():
    values = random_values(0)
    expression = a * (sp.Trace(A.T * A * K.inv()) - 2 * sp.Trace(X * Y) / a) + sp.Trace(sp.DiagonalMatrix(X) * Y) * a**2
    form = trace_form(expression)
    assert len(form.terms) == 3
    close(evaluate(form, values), number(expression, values))


def test_words_that_differ_have_different_traces():
    assert trace(p(X * Y)) != trace(p(X * Y.T))
    assert trace(p(X * K * Y)) != trace(p(X * Y * K))
    assert trace(p(X * X.T)) != trace(p(X * X))


def test_a_word_with_one_skew_symbol_that_is_minus_its_transpose_has_no_trace():
    assert not trace(p(S))
    assert not trace(p(S * K))
    assert not trace(p(A * S * A.T))
    assert not trace(p(S * D))
    assert trace(p(S * X))
    assert trace(p(S * K * D))
    assert trace(p(S * K * S))


def test_the_trace_of_an_identity_is_refused():
    with pytest.raises(CalculusError, match="trace of an identity"):
        trace(p(X) @ inverse(p(X)))


def test_traces_cancel_around_the_corner():
    assert trace(p(K) @ p(X) @ inverse(p(K))) == trace(p(X))
    assert trace(p(C * X * C)) == trace(p(X * C))


# -- Definitions -------------------------------------------------------------------------------------------------------


def _defined() -> tuple[Definitions, dict]:
    definitions = Definitions(taken={"A", "B"})
    gram = definitions.matrix("gram", p(A.T * A))
    squares = definitions.matrix("squares", diagonal_part(p(B * B.T)), diagonal=True)
    both = definitions.matrix("both", letter(gram) @ letter(squares) @ letter(gram))
    plain = definitions.matrix("plain", letter(gram) @ letter(squares))
    size = definitions.scalar("size", trace(letter(gram) @ letter(squares)))
    return definitions, {"gram": gram, "squares": squares, "both": both, "plain": plain, "size": size}


def test_defined_symbols_are_of_the_kind_of_their_values():
    _, named = _defined()
    assert isinstance(named["squares"], DiagonalSymbol)
    assert isinstance(named["gram"], SymmetricSymbol)
    assert isinstance(named["both"], SymmetricSymbol)
    assert not isinstance(named["plain"], SymmetricSymbol)
    assert named["size"].is_real


def test_names_that_are_taken_are_not_used():
    definitions = Definitions(taken={"gram"})
    first, second = definitions.matrix("gram", p(A.T * A)), definitions.matrix("gram", p(B * B.T))
    assert len({"gram", first.name, second.name}) == 3


@pytest.mark.parametrize("seed", range(5))
def test_definitions_written_out_have_the_same_value(seed):
    definitions, named = _defined()
    gram, squares, both, plain = (letter(named[name]) for name in ("gram", "squares", "both", "plain"))
    known = evaluate_definitions(definitions, {A: random_values(seed)[A], B: random_values(seed)[B]})
    point = {**SIZES, A: known[A], B: known[B]}
    value = p(A) @ inverse(gram) @ plain.T * named["size"] + p(A) @ squares @ diagonal_part(both @ p(C)) * 2
    close(number(definitions.expression(value), point), evaluate(value, known))
    form = trace(inverse(both) @ plain) * named["size"] ** 2 + trace(squares @ inverse(gram))
    close(number(definitions.expression(form), point), evaluate(form, known))
    assert number(definitions.expression(zero((n, h))), point).shape == (4, 3)


def test_definitions_are_evaluated_copy_by_copy():
    definitions, named = _defined()
    copies = {symbol: np.stack([random_values(seed)[symbol] for seed in range(3)]) for symbol in (A, B)}
    together = evaluate_definitions(definitions, copies)
    value = p(A) @ letter(named["both"]) * named["size"] + p(A)
    for copy in range(3):
        alone = evaluate_definitions(definitions, {symbol: value[copy] for symbol, value in copies.items()})
        close(evaluate(value, together)[copy], evaluate(value, alone))
        close(together[named["size"]][copy], alone[named["size"]])


def test_needed_definitions_are_those_below_in_order():
    definitions, named = _defined()
    assert definitions.needed([letter(named["gram"])]) == [named["gram"]]
    assert definitions.needed([letter(named["plain"])]) == [named["gram"], named["squares"], named["plain"]]
    above = definitions.matrix("above", letter(named["plain"]) @ p(X))
    assert definitions.needed([letter(above)]) == [named["gram"], named["squares"], named["plain"], above]
    assert definitions.needed([identity(h) * named["size"]]) == [named["gram"], named["squares"], named["size"]]


def test_known_polynomials_are_named_up_to_a_multiple():
    definitions = Definitions()
    rate = definitions.matrix("rate", p(X.T * Y) + p(Y.T * X))
    assert definitions.known(p(X.T * Y) * -3 + p(Y.T * X) * -3) == letter(rate) * -3
    skewed = p(X.T * Y) - p(Y.T * X)
    assert definitions.known(skewed) == skewed
    assert definitions.known(zero((h, h))) == zero((h, h))


def test_runs_of_factors_are_folded_into_their_names():
    definitions, named = _defined()
    value = p(B * A) @ p(A.T * A) @ p(X) + p(A.T * A)
    folded = fold(value, definitions)
    assert folded == p(B * A) @ letter(named["gram"]) @ p(X) + letter(named["gram"])
    assert fold(diagonal_part(p(B * B.T)) @ p(X), definitions) == letter(named["squares"]) @ p(X)


@given(expressions, seeds)
@many
def test_folding_keeps_the_value(expression, seed):
    definitions, _ = _defined()
    values = random_values(seed)
    known = {**values, **evaluate_definitions(definitions, {A: values[A], B: values[B]})}
    close(evaluate(fold(polynomial(expression), definitions), known), evaluate(polynomial(expression), values))


def test_copies_of_definitions_do_not_grow_with_the_original():
    definitions, _ = _defined()
    copied = definitions.copy()
    definitions.matrix("late", p(X * X.T))
    assert len(list(copied)) + 1 == len(list(definitions))
    assert "late" not in copied.taken


def test_polynomials_and_forms_that_are_equal_have_one_hash():
    first, second = p(X * Y + A.T * A), p(A.T * A + X * Y)
    assert first == second
    assert hash(first) == hash(second)
    assert hash(trace(first)) == hash(trace(second.T))
    assert isinstance(first, Polynomial)
    assert isinstance(trace(first), TraceForm)
