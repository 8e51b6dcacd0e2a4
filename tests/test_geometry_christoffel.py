"""Explicit Christoffel symbols against the textbook formula, and their cost."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
import sympy as sp

from symtheory.errors import MetricError
from symtheory.geometry import ChristoffelSymbols, rational_connection


def textbook(
    metric: sp.Matrix, coordinates: Sequence[sp.Symbol], point: dict[sp.Symbol, sp.Rational]
) -> dict[tuple[int, int, int], sp.Expr]:
    """½ g^{im}(∂_k g_lm + ∂_l g_km − ∂_m g_kl) at one point, by plain loops."""
    size = range(len(coordinates))
    slopes = [metric.diff(x).xreplace(point) for x in coordinates]
    inverse = metric.xreplace(point).inv()
    return {
        (i, k, l): sum(inverse[i, m] * (slopes[k][l, m] + slopes[l][k, m] - slopes[m][k, l]) for m in size) / 2
        for i in size
        for k in size
        for l in size
    }


def assert_same(metric: sp.Matrix, coordinates: Sequence[sp.Symbol], point: dict[sp.Symbol, sp.Rational]) -> None:
    symbols = ChristoffelSymbols(metric, coordinates)
    for key, expected in textbook(metric, coordinates, point).items():
        assert sp.nsimplify(sp.sympify(symbols[key]).xreplace(point) - expected) == 0, key


def random_metric(coordinates: Sequence[sp.Symbol], seed: int, denominators: int) -> sp.Matrix:
    rng = random.Random(seed)
    chosen = [1 + rng.choice(coordinates) ** 2 for _ in range(denominators)] or [sp.S.One]
    size = len(coordinates)
    metric = sp.zeros(size)
    for i in range(size):
        for j in range(i, size):
            value = rng.randint(1, 4) * rng.choice(coordinates) + rng.randint(-3, 3) * rng.choice(coordinates)
            metric[i, j] = metric[j, i] = value / rng.choice(chosen) + (7 if i == j else 0)
    return metric


@pytest.mark.parametrize("denominators", [0, 1, 2])
@pytest.mark.parametrize("size", [2, 3, 4])
def test_dense_rational_metric(size: int, denominators: int) -> None:
    x = sp.symbols(f"x:{size}", real=True)
    point = {symbol: sp.Rational(2 * i + 3, i + 5) for i, symbol in enumerate(x)}
    assert_same(random_metric(x, seed=10 * size + denominators, denominators=denominators), x, point)


def test_unexpanded_symbols_keep_exact_zeros(monkeypatch: pytest.MonkeyPatch) -> None:
    # With the bound at one term even this determinant counts as long: the ring then only decides which symbols vanish.
    x = sp.symbols("x:3", real=True)
    metric = sp.Matrix([[x[0] ** 2 + 3, x[1], 0], [x[1], x[0] + 5, 1], [0, 1, x[2] ** 2 + 1]])
    point = {symbol: sp.Rational(i + 2, 3) for i, symbol in enumerate(x)}
    expanded = ChristoffelSymbols(metric, x)
    monkeypatch.setattr(rational_connection, "EXPANDED_TERMS", 1)
    assert_same(metric, x, point)
    unexpanded = ChristoffelSymbols(metric, x)
    assert set(unexpanded) == set(expanded)
    assert dict(unexpanded.items()) != dict(expanded.items())


def test_long_determinant_is_left_unexpanded() -> None:
    # Distinct cubic denominators in a dense block: expanded symbols would take thousands of terms each.
    x = sp.symbols("x:3", real=True)
    metric = sp.Matrix(3, 3, lambda i, j: (x[i] * x[j] + i + j + 1) / (1 + x[(i + j) % 3] ** 3 + x[(i * j) % 3]))
    point = {symbol: sp.Rational(i + 2, 3) for i, symbol in enumerate(x)}
    assert_same(metric, x, point)


def test_off_diagonal_metric_whose_trace_vanishes() -> None:
    u, v = sp.symbols("u v", real=True)
    assert_same(sp.Matrix([[0, u * v], [u * v, 0]]), (u, v), {u: sp.Rational(2, 3), v: sp.Rational(5, 7)})


def test_transcendental_entries_on_the_sphere() -> None:
    theta, phi, r = sp.symbols("theta phi r", positive=True)
    symbols = ChristoffelSymbols(sp.diag(r**2, r**2 * sp.sin(theta) ** 2), (theta, phi))
    assert dict(symbols.items()) == {
        (0, 1, 1): -sp.sin(theta) * sp.cos(theta),
        (1, 0, 1): sp.cos(theta) / sp.sin(theta),
    }
    assert symbols.get(1, 1, 0) == symbols.get(1, 0, 1)
    assert symbols.get(0, 0, 0) == 0


def test_blocks_with_different_constants_are_kept_apart() -> None:
    u, v, w, a = sp.symbols("u v w a", positive=True)
    symbols = ChristoffelSymbols(sp.diag(u**-2, v**-4, w**a), (u, v, w))
    assert dict(symbols.items()) == {(0, 0, 0): -1 / u, (1, 1, 1): -2 / v, (2, 2, 2): a / (2 * w)}


def test_dependence_without_an_entry_joins_coordinates() -> None:
    r, phi, z = sp.symbols("r phi z", real=True)
    symbols = ChristoffelSymbols(sp.diag(1, r**2, 1), (r, phi, z))
    assert dict(symbols.items()) == {(0, 1, 1): -r, (1, 0, 1): 1 / r}


def test_views_agree() -> None:
    x = sp.symbols("x:3", real=True)
    metric = random_metric(x, seed=4, denominators=0)
    symbols = ChristoffelSymbols(metric, x)
    dense, xi = symbols.to_array(), sp.symbols("xi:3")
    form = symbols.form(xi)
    for i in range(3):
        expected = sum(dense[i, k, l] * xi[k] * xi[l] for k in range(3) for l in range(3))
        assert sp.cancel(form[i] - expected) == 0
    for m in range(3):
        for k in range(3):
            for l in range(k, 3):
                lowered = sum(metric[m, i] * dense[i, k, l] for i in range(3))
                assert sp.cancel(lowered - symbols.first_kind.get((m, k, l), 0)) == 0
    with pytest.raises(IndexError):
        symbols.get(0, 3, 0)


def test_sixty_four_coordinates() -> None:
    d = 32
    coordinates = sp.symbols(f"u:{d}", real=True) + sp.symbols(f"v:{d}", real=True)
    metric = sp.diag(*[x**-2 for x in coordinates])
    symbols = ChristoffelSymbols(metric, coordinates)
    assert dict(symbols.items()) == {(i, i, i): -1 / x for i, x in enumerate(coordinates)}


def test_bad_metrics_are_refused() -> None:
    u, v = sp.symbols("u v", real=True)
    with pytest.raises(MetricError, match="singular in u, v"):
        ChristoffelSymbols(sp.Matrix([[u**2, u * v], [u * v, v**2]]), (u, v))
    with pytest.raises(MetricError, match="singular in v"):
        ChristoffelSymbols(sp.diag(1, 0), (u, v))
    with pytest.raises(MetricError, match="not symmetric"):
        ChristoffelSymbols(sp.Matrix([[1, u], [0, 1]]), (u, v))
    with pytest.raises(MetricError, match="2×2 for 1 coordinates"):
        ChristoffelSymbols(sp.eye(2), (u,))
    with pytest.raises(MetricError, match="named twice"):
        ChristoffelSymbols(sp.eye(2), (u, u))
