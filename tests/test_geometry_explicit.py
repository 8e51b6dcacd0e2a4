"""Metrics from traces in explicit components, and their Christoffel symbols.

The oracles are the definitions: entries by evaluating the form on numbers, Christoffel symbols by differences of them
and by equations written down by hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import mpmath
import pytest
import sympy as sp
from explicit_cases import forms_of, matrices, random_point, two_factors
from sympy.matrices.expressions.diagonal import DiagMatrix

from symtheory.errors import CalculusError, MetricError, ShapeError
from symtheory.geometry import ChristoffelSymbols
from symtheory.geometry.explicit_geometry import ExplicitGeometry
from symtheory.geometry.explicit_metric import explicit_metric

T = sp.Trace


def on_numbers(
    form: sp.Expr,
    points: Sequence[sp.MatrixSymbol],
    velocities: Sequence[sp.MatrixSymbol],
    values: Sequence[sp.Expr],
    xi: Sequence[sp.Expr],
) -> sp.Expr:
    """The form at a point and a velocity, by putting numbers into the matrix expression: SymPy's own evaluation."""
    numbers = form.xreplace({**matrices(points, values), **matrices(velocities, xi)})
    # SymPy leaves the identity and the diagonal of an explicit matrix unevaluated.
    numbers = numbers.replace(sp.Identity, lambda size: sp.ImmutableMatrix(sp.eye(size)))
    return numbers.replace(sp.DiagonalMatrix, lambda m: sp.ImmutableMatrix(sp.diag(*m.doit().diagonal()))).doit()


@pytest.mark.parametrize("name", forms_of(*two_factors(2, 2, 2)))
@pytest.mark.parametrize("sizes", [(2, 3, 2), (3, 2, 1)], ids=str)
def test_the_matrix_is_the_forms(name: str, sizes: tuple[int, int, int]) -> None:
    points, velocities = two_factors(*sizes)
    form = forms_of(points, velocities)[name]
    metric, coordinates = explicit_metric(form, points, velocities)
    size = len(coordinates)
    assert metric.shape == (size, size) == ((sizes[0] + sizes[1]) * sizes[2],) * 2
    assert metric == metric.T
    values, xi = random_point(size, 1), random_point(size, 2)
    column = sp.Matrix(xi)
    at_point = metric.xreplace(dict(zip(coordinates, values, strict=True)))
    assert (column.T * at_point * column)[0] == on_numbers(form, points, velocities, values, xi)


def test_coordinates_go_parameter_by_parameter_and_row_by_row() -> None:
    points, velocities = two_factors(2, 1, 2)
    _, coordinates = explicit_metric(forms_of(points, velocities)["mixed"], points, velocities)
    assert [symbol.name for symbol in coordinates] == ["G_11", "G_12", "G_21", "G_22", "H_11", "H_12"]
    assert all(symbol.is_real for symbol in coordinates)


def test_names_do_not_collide() -> None:
    large, xi = sp.MatrixSymbol("G", 11, 1), sp.MatrixSymbol("xi", 11, 1)
    small, zeta = sp.MatrixSymbol("G_1", 1, 1), sp.MatrixSymbol("zeta", 1, 1)
    constant = sp.Symbol("G_11_1")
    form = constant * T(xi.T * xi) + T(large * large.T) * T(zeta.T * zeta)
    metric, coordinates = explicit_metric(form, [large, small], [xi, zeta])
    assert len({symbol.name for symbol in coordinates} | {constant.name}) == 13
    assert coordinates[1].name.endswith("_2_1")
    assert metric[0, 0] == constant
    assert metric[11, 11] == sp.Add(*(symbol**2 for symbol in coordinates[:11]))


def test_constants_scalars_roots_and_entries() -> None:
    G, xi = sp.MatrixSymbol("G", 2, 2), sp.MatrixSymbol("xi", 2, 2)
    A, s, t, c = sp.MatrixSymbol("A", 2, 2), *sp.symbols("s t c", positive=True)
    form = (
        sp.sqrt(T(G.T * G)) * T(A.T * xi) ** 2 + c * sp.exp(s) * G[0, 1] * t**2 / sp.Determinant(G) + xi[1, 0] ** 2 / s
    )
    metric, coordinates = explicit_metric(form, [G, s], [xi, t])
    assert coordinates[4] == s
    a = sp.symbols("A_11 A_12 A_21 A_22", real=True)
    root = sp.sqrt(sum(symbol**2 for symbol in coordinates[:4]))
    g11, g12, g21, g22 = coordinates[:4]
    again, _ = explicit_metric(sp.Determinant(2 * G.inv()) * T(xi.T * xi), [G], [xi])
    assert again[3, 3] == 4 / (coordinates[0] * coordinates[3] - coordinates[1] * coordinates[2])
    expected = sp.zeros(5)
    for i, j in product(range(4), repeat=2):
        expected[i, j] = root * a[i] * a[j]
    expected[2, 2] += 1 / s
    expected[4, 4] = c * sp.exp(s) * g12 / (g11 * g22 - g12 * g21)
    assert (metric - expected).applyfunc(sp.cancel).is_zero_matrix


def test_elementwise_expressions() -> None:
    d = 3
    p, q = sp.MatrixSymbol("p", d, 1), sp.MatrixSymbol("q", d, 1)
    a, b = sp.MatrixSymbol("a", d, 1), sp.MatrixSymbol("b", d, 1)
    weights = sp.HadamardPower(sp.HadamardProduct(p, p), -1)
    form = T(weights.T * sp.HadamardProduct(a, a)) + T(b.T * DiagMatrix(q) ** -2 * b)
    metric, coordinates = explicit_metric(form, [p, q], [a, b])
    assert metric == sp.diag(*(symbol**-2 for symbol in coordinates))
    assert explicit_metric(a.T * (p * p.T + 2 * sp.Identity(d)) * a, [p], [a])[0][0, 0] == coordinates[0] ** 2 + 2


@pytest.mark.parametrize(
    ("make", "error", "word"),
    [
        (lambda G, a: T(a.T * a) ** 2, MetricError, "degree 4"),
        (lambda G, a: T(G.T * a), MetricError, "degree 1"),
        (lambda G, a: T(G.T * G), MetricError, "degree 0"),
        (lambda G, a: T(a.T * a) ** 3 / T(a.T * a + G.T * a), MetricError, "divides by them"),
        (lambda G, a: sp.sqrt(T(a.T * a)), MetricError, "keep them out"),
        (lambda G, a: T((G * G.T).inv() * a * a.T), MetricError, "no inverse anywhere"),
        (lambda G, a: T(a.T * a) / sp.Determinant(G * G.T), MetricError, "divides by zero everywhere"),
        (lambda G, a: a.T * a, MetricError, "take its trace"),
        (lambda G, a: T(sp.MatPow(G.T * G, sp.Rational(1, 2)) * a.T * a), CalculusError, "only integer powers"),
        (lambda G, a: T((G.T * G).applyfunc(sp.exp) * a.T * a), CalculusError, "no explicit components"),
    ],
)
def test_forms_that_are_no_metric(make: object, error: type[Exception], word: str) -> None:
    G, a = sp.MatrixSymbol("G", 3, 2), sp.MatrixSymbol("a", 3, 2)
    with pytest.raises(error, match=word) as caught:
        explicit_metric(make(G, a), [G], [a])  # type: ignore[operator]
    assert "\n" not in str(caught.value)


def test_sizes_and_shapes_that_do_not_fit() -> None:
    n = sp.Symbol("n", integer=True, positive=True)
    G, a = sp.MatrixSymbol("G", n, 2), sp.MatrixSymbol("a", n, 2)
    with pytest.raises(ShapeError, match=r"n×2.*need integers"):
        explicit_metric(T(a.T * a), [G], [a])
    G, a, b = (sp.MatrixSymbol(name, 2, columns) for name, columns in (("G", 2), ("a", 2), ("b", 3)))
    with pytest.raises(ShapeError, match="give each point a velocity"):
        explicit_metric(T(a.T * a), [G], [b])
    with pytest.raises(MetricError, match="named twice"):
        explicit_metric(T(a.T * a), [a], [a])
    with pytest.raises(MetricError, match="no parameter"):
        explicit_metric(T(a.T * a), [], [])


def slopes_by_differences(
    form: sp.Expr,
    points: Sequence[sp.MatrixSymbol],
    velocities: Sequence[sp.MatrixSymbol],
    values: Sequence[sp.Rational],
) -> tuple[mpmath.matrix, list[mpmath.matrix]]:
    """g and ∂_k g from numbers put into the matrix expression: basis velocities and central differences, 60 digits."""
    size = len(values)

    def matrix(at: Sequence[sp.Rational]) -> mpmath.matrix:
        here = form.xreplace(matrices(points, at))
        basis = [
            [sp.Integer(int(i in pair)) for i in range(size)]
            for pair in ({j, k} for j in range(size) for k in range(size))
        ]
        q = [here.xreplace(matrices(velocities, xi)).doit() for xi in basis]
        g = [
            [
                q[j * size + k] if j == k else (q[j * size + k] - q[j * size + j] - q[k * size + k]) / 2
                for k in range(size)
            ]
            for j in range(size)
        ]
        return mpmath.matrix([[mpmath.mpf(e.p) / e.q for e in row] for row in g])

    step = sp.Rational(1, 10**20)
    slopes = []
    for k in range(size):
        ahead, behind = ([value + s * int(i == k) for i, value in enumerate(values)] for s in (step, -step))
        slopes.append((matrix(ahead) - matrix(behind)) / (2 * mpmath.mpf(10) ** -20))
    return matrix(values), slopes


@pytest.mark.parametrize("name", ["invariant", "mixed", "nested"])
def test_christoffel_symbols_of_two_factors(name: str) -> None:
    points, velocities = two_factors(2, 1, 1) if name == "nested" else two_factors(2, 2, 1)
    form = forms_of(points, velocities)[name]
    metric, coordinates = explicit_metric(form, points, velocities)
    values = random_point(len(coordinates), 3)
    here = dict(zip(coordinates, values, strict=True))
    symbols = ChristoffelSymbols(metric, coordinates)
    at_point = ExplicitGeometry(metric, coordinates).christoffel_at(here)
    with mpmath.workdps(60):
        g, slopes = slopes_by_differences(form, points, velocities, values)
        inverse, size = g**-1, range(len(coordinates))
        for i, k, l in product(size, repeat=3):
            expected = sum(inverse[i, m] * (slopes[k][l, m] + slopes[l][k, m] - slopes[m][k, l]) for m in size) / 2
            exact = symbols[i, k, l].xreplace(here)
            assert abs(mpmath.mpf(exact.p) / exact.q - expected) < 1e-30  # the differences are good to 1e-38
            assert at_point.get((i, min(k, l), max(k, l)), 0) == exact


@pytest.mark.parametrize("name", ["invariant", "mixed"])
def test_all_symbols_at_twelve_coordinates(name: str) -> None:
    """Γ(ξ, ξ) as matrices, n = m = 3 and h = 2: the Euler–Lagrange equation of the energy, written down by hand."""
    points, velocities = two_factors(3, 3, 2)
    metric, coordinates = explicit_metric(forms_of(points, velocities)[name], points, velocities)
    symbols = ChristoffelSymbols(metric, coordinates)
    values, xi = random_point(12, 4), random_point(12, 5)
    here = dict(zip(coordinates, values, strict=True))
    form = [component.xreplace(here) for component in symbols.form(xi)]
    (G, H), (a, b) = matrices(points, values).values(), matrices(velocities, xi).values()
    if name == "invariant":
        expected = [
            -X * (P.T * P).inv() * (X.T * P + P.T * X) + P * (P.T * P).inv() * X.T * X for P, X in ((G, a), (H, b))
        ]
    else:
        expected = [
            (X * (Y.T * Q + Q.T * Y) - P * Y.T * Y) * (Q.T * Q).inv() for P, X, Q, Y in ((G, a, H, b), (H, b, G, a))
        ]
    assert form == [entry for block in expected for entry in block]


def test_inverse_that_shares_factors_with_its_determinant() -> None:
    """(GᵀG)⁻¹ at h = 3: adjugate and determinant of the numerators have det(GᵀG) in common, once and twice."""
    G, a = sp.MatrixSymbol("G", 3, 3), sp.MatrixSymbol("a", 3, 3)
    metric, coordinates = explicit_metric(T((G.T * G).inv() * a.T * a), [G], [a])
    symbols = ChristoffelSymbols(metric, coordinates)
    (P,), (X,) = (matrices([G], random_point(9, seed)).values() for seed in (16, 17))
    form = [component.xreplace(dict(zip(coordinates, P, strict=True))) for component in symbols.form([*X])]
    S = (P.T * P).inv()
    assert form == [*(-X * S * (X.T * P + P.T * X) + P * S * X.T * X)]
    assert max(sp.count_ops(value) for _, value in symbols.items()) < 150  # as quotients in lowest terms
