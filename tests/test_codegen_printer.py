"""The torch printer against SymPy in 50-digit arithmetic, over a wide list of expressions and random ones."""

from __future__ import annotations

import subprocess
import sys
from itertools import product

import mpmath
import pytest
import sympy as sp
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as hs
from oracles import mpmath_matrix, mpmath_value

from symtheory.codegen.arguments import ScalarArgument, TensorArgument
from symtheory.codegen.function import TorchFunction, render_imports
from symtheory.errors import CodegenError

RELATIVE = 1e-12
"""The accuracy that generated code promises in float64: a few thousand rounding errors of 1.1e-16."""

x, y, z = sp.symbols("x y z", real=True)
a = sp.Symbol("a", positive=True)
n, m, h = sp.symbols("n m h", integer=True, positive=True)
G, K = sp.MatrixSymbol("G", n, h), sp.MatrixSymbol("K", n, h)
H = sp.MatrixSymbol("H", m, h)

POINTS = [
    {x: 0.31, y: -0.74, z: 0.52, a: 0.83},
    {x: -0.47, y: 0.66, z: -0.91, a: 0.12},
    {x: 0.93, y: 0.28, z: 0.07, a: 0.58},
]

EXPRESSIONS = [
    x + y - z,
    -x - y,
    -x * y,
    -(x**2),
    -(x**2) * y,
    (x + y) * (x - y) / 3,
    sp.Rational(2, 3) * x * y / a,
    1 / (x * y * z),
    x**3 - x**-2 + 7,
    (x**2) ** y,
    sp.sqrt(a) + 1 / sp.sqrt(a) + a ** sp.Rational(3, 2) + a ** sp.Rational(-5, 2),
    1 / sp.sqrt(a),
    x / sp.sqrt(1 + a**2),
    a ** sp.Rational(1, 3) + a ** sp.Rational(-2, 7),
    a**x + 2**x + sp.Rational(1, 3) ** y,
    sp.sqrt(2) * x + sp.pi * y + sp.E * z + sp.GoldenRatio + sp.Rational(1, 3) + sp.Float("0.1"),
    sp.Integer(10) ** 30 * x + sp.Rational(1, 10**30),
    sp.exp(x) * sp.exp(-2 * y) + sp.exp(x * y),
    sp.log(a) + sp.log(1 + a) + sp.log(a**2 + 1) + sp.log(2 * a),
    sp.sin(x) + sp.cos(x * y) * sp.tan(z),
    sp.sinh(x) - sp.cosh(y) * sp.tanh(z),
    sp.asinh(x) + sp.acosh(1 + a) + sp.atanh(y),
    sp.asin(x) + sp.acos(y) - sp.atan(z) + sp.atan2(x, y),
    sp.sec(x) + sp.csc(y) + sp.cot(z) + sp.sech(x) * sp.csch(y) - sp.coth(z),
    sp.Abs(x) * sp.sign(y) + sp.Abs(x - y) ** 3,
    sp.Max(x, y, z) + sp.Min(x, y) + sp.Max(x, sp.Rational(1, 3)) + sp.Min(z, 0) + sp.Max(0, x),
    sp.Heaviside(x) + sp.Heaviside(y - z, 1) * x + sp.Heaviside(x - x * y / y - x, 0),
    sp.floor(3 * x) + sp.ceiling(3 * y),
    sp.erf(x) + sp.erfc(y),
    sp.loggamma(a) + sp.gamma(a) + sp.gamma(x) * sp.gamma(3 * y) + sp.digamma(a) + sp.polygamma(2, a),
    sp.Piecewise((sp.log(x), x > 0), (x**2, True)),
    sp.Piecewise((sp.sqrt(-x), x < 0), (sp.log(y) * x, y > 0), (1 / z, True)),
    sp.Piecewise((1, (x > 0) & (y < 0)), (sp.Rational(1, 3), (x < 0) | (z > 0.5)), (0, True)) + x,
    sp.Piecewise((x, ~((x > 0) & (y > 0))), (y, True)),
    sp.Piecewise((0, sp.Eq(sp.sign(x), 1)), (sp.exp(x), sp.Ne(sp.sign(y), 1)), (1, True)),
    sum(sp.sin(k * x + y) ** 2 * a / (k + 1 + z**2) for k in range(9)),
    (x + y) ** 2 * sp.exp((x + y) ** 2) / (1 + (x + y) ** 2),
]


def compiled(function: TorchFunction) -> tuple[object, str]:
    source = render_imports(["torch."]) + "\n\n" + function.render()
    namespace: dict[str, object] = {}
    exec(compile(source, f"<{function.name}>", "exec"), namespace)
    return namespace[function.name], source


def elementwise(expression: sp.Expr, symbols: tuple[sp.Symbol, ...] = (x, y, z, a)) -> tuple[object, str]:
    arguments = tuple(TensorArgument(str(symbol), symbol) for symbol in symbols)
    return compiled(TorchFunction("f", arguments, expression, "A test."))


def relative_error(value: float, expected: mpmath.mpf) -> float:
    return float(abs(mpmath.mpf(value) - expected) / max(abs(expected), mpmath.mpf("1e-3")))


@pytest.mark.parametrize("expression", EXPRESSIONS, ids=str)
def test_equals_fifty_digit_arithmetic(expression: sp.Expr) -> None:
    function, source = elementwise(expression)
    batch = {str(s): torch.tensor([point[s] for point in POINTS], dtype=torch.float64) for s in POINTS[0]}
    values = function(**batch)
    assert values.dtype == torch.float64, source
    for point, value in zip(POINTS, values.broadcast_to(len(POINTS)).tolist(), strict=True):
        assert relative_error(value, mpmath_value(expression, point)) < RELATIVE, source


@pytest.mark.parametrize("expression", EXPRESSIONS, ids=str)
def test_follows_float32_also_without_axes(expression: sp.Expr) -> None:
    function, source = elementwise(expression)
    values = {str(s): torch.tensor(value, dtype=torch.float32) for s, value in POINTS[0].items()}
    result = function(**values)
    assert result.dtype == torch.float32 and result.shape == (), source


@pytest.mark.parametrize("expression", EXPRESSIONS, ids=str)
def test_lines_fit_and_source_is_stable(expression: sp.Expr) -> None:
    _, source = elementwise(expression)
    assert max(map(len, source.splitlines())) <= 100
    assert source == elementwise(expression)[1]


def leaf() -> hs.SearchStrategy[sp.Expr]:
    numbers = [sp.Rational(1, 3), sp.Integer(-2), sp.sqrt(3), sp.pi, sp.Rational(5, 4)]
    return hs.sampled_from([x, y, z, *numbers])


def grow(children: hs.SearchStrategy[sp.Expr]) -> hs.SearchStrategy[sp.Expr]:
    """Expressions that stay moderate: unbounded growth meets a function with a bounded range."""
    unary = [sp.sin, sp.cos, sp.tanh, sp.atan, sp.asinh, sp.erf, lambda e: sp.sqrt(1 + e**2)]
    unary += [lambda e: 1 / (2 + e**2), lambda e: sp.log(1 + e**2), lambda e: sp.exp(-(e**2)), lambda e: -e]
    unary += [
        lambda e: sp.tanh(e) ** 3,
        lambda e: sp.Abs(e) + 1,
        lambda e: (1 + sp.Abs(e)) ** sp.Rational(-3, 2),
    ]
    pairs = [lambda e, f: e + f, lambda e, f: e - f, lambda e, f: sp.sin(e) * f, lambda e, f: e / (2 + f**2)]
    pairs += [lambda e, f: sp.Max(e, f + sp.Rational(1, 7)), lambda e, f: sp.atan2(e, 2 + f**2)]
    pairs += [lambda e, f: sp.Piecewise((sp.log(1 + e**2), x > y), (f, True))]
    return hs.one_of(
        hs.tuples(hs.sampled_from(unary), children).map(lambda t: t[0](t[1])),
        hs.tuples(hs.sampled_from(pairs), children, children).map(lambda t: t[0](t[1], t[2])),
    )


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(hs.recursive(leaf(), grow, max_leaves=6))
def test_random_expressions_equal_fifty_digit_arithmetic(expression: sp.Expr) -> None:
    function, source = elementwise(expression)
    point = POINTS[0]
    tensors = {str(s): torch.tensor([value], dtype=torch.float64) for s, value in point.items()}
    # Cancellation between terms amplifies rounding in any float64 code: the error is measured against the size
    # of the terms, which is of order one by construction.
    expected = mpmath_value(expression, point)
    error = abs(mpmath.mpf(function(**tensors).item()) - expected) / max(abs(expected), 1)
    assert error < RELATIVE, source


def test_branch_not_taken_leaves_gradients_finite() -> None:
    cases = [
        sp.Piecewise((sp.log(x), x > 0), (x, True)),
        sp.Piecewise((sp.sqrt(x), x > 0), (0, True)),
        sp.Piecewise((x, x <= 0), (x**2 * sp.log(x), True)),
        sp.Piecewise((sp.log(x * y), x > 0), (x * y, True)),
        sp.Piecewise((sp.exp(sp.exp(x)), x < 1), (x, True)),
        sp.Piecewise((1 / x, x > 0), (sp.Piecewise((sp.log(-x), x < -2), (x**3, True)), True)),
    ]
    for expression in cases:
        function, source = elementwise(expression, (x, y))
        for start in (-1.5, 0.0, 9.0, -3.0):
            point = torch.tensor([start, -abs(start) - 1 if start <= 0 else 1.5], dtype=torch.float64)
            gradient = torch.func.grad(lambda p, f=function: f(p[0], p[1]))(point)
            hessian = torch.func.hessian(lambda p, f=function: f(p[0], p[1]))(point)
            assert gradient.isfinite().all() and hessian.isfinite().all(), source


MATRIX_EXPRESSIONS = [
    G.T * G,
    G - 2 * K,
    -G - K,
    -G,
    sp.sqrt(2) * G / 3 - x * K,
    -x * G * H.T,
    G * (K.T * K).inverse() * H.T,
    (G.T * G).inverse() * K.T,
    H * (G.T * G).inverse(),
    H * (G.T * G).inverse() * (K.T * K).inverse(),
    (G.T * G).inverse() * (K.T * K).inverse() * H.T * H,
    ((G.T * G).inverse() * H.T).T,
    (G.T * G) ** 2 * H.T,
    (G.T * G) ** -2 * H.T,
    sp.Trace(G.T * K) * G,
    sp.sqrt(sp.Trace(G.T * G)) + 1 / sp.Trace(K.T * K),
    sp.Trace((G.T * G).inverse() * K.T * K) / n,
    sp.hadamard_product(G, K) * H.T,
    sp.hadamard_product(G + K, G * K.T * G),
    sp.Identity(h) + G.T * G,
    x * sp.Identity(n) - G * G.T,
    sp.Trace(sp.Identity(n)) * G,
    -G * (K.T * K).inverse() * H.T * H + sp.exp(x) * G,
    n * G + (n - h) * K,
]
SIZES = {n: 4, m: 3, h: 2}


def matrix_values(batch: tuple[int, ...]) -> dict[sp.Basic, torch.Tensor]:
    generator = torch.Generator().manual_seed(7)
    values = {
        symbol: torch.randn(*batch, *(SIZES[s] for s in symbol.shape), generator=generator, dtype=torch.float64)
        for symbol in (G, H, K)
    }
    return values | {x: torch.rand(batch, generator=generator, dtype=torch.float64) + 0.5}


def matrix_function(expression: sp.Basic) -> tuple[object, str]:
    arguments = (*(TensorArgument(str(s), s) for s in (G, H, K)), ScalarArgument("x", x))
    return compiled(TorchFunction("f", arguments, expression, "A test."))


@pytest.mark.parametrize("expression", MATRIX_EXPRESSIONS, ids=str)
@pytest.mark.parametrize("batch", [(), (2,), (2, 3)], ids=str)
def test_matrix_expressions_equal_fifty_digit_arithmetic(expression: sp.Basic, batch: tuple[int, ...]) -> None:
    function, source = matrix_function(expression)
    tensors = matrix_values(batch)
    result = function(**{str(symbol): value for symbol, value in tensors.items()})
    assert "inv(" not in source and result.shape[: len(batch)] == batch, source
    for at in product(*map(range, batch)):
        values = {symbol: value[at].tolist() for symbol, value in tensors.items()} | SIZES
        expected = mpmath_matrix(expression, values)
        rows = expected.tolist() if isinstance(expected, mpmath.matrix) else [[expected]]
        wanted = torch.tensor([[float(entry) for entry in row] for row in rows], dtype=torch.float64)
        # Solves are conditioned worse than sums: the error is measured against the largest entry.
        error = (result[at].reshape(wanted.shape) - wanted).abs().max() / wanted.abs().max()
        assert error < RELATIVE, source


@pytest.mark.parametrize(
    ("expression", "named"),
    [
        (sp.DiracDelta(x), "DiracDelta"),
        (sp.Function("mystery")(x), "mystery"),
        (sp.besselj(0, x), "besselj"),
        (sp.I * x, "real"),
        (sp.Integral(sp.exp(x**2), x), "Integral"),
        (sp.Symbol("unbound") + x, "unbound"),
        (sp.Symbol("x") + 1, "other assumptions"),
        (sp.Matrix([[x, y]]), "Matrix"),
        (sp.Add(sp.zoo, x, evaluate=False), "undefined"),
        (sp.Piecewise((sp.sqrt(-1 - x**2), x > y), (x, True)), "Piecewise"),
    ],
    ids=str,
)
def test_what_has_no_torch_source_is_named(expression: sp.Basic, named: str) -> None:
    with pytest.raises(CodegenError, match=named):
        elementwise(expression)


@pytest.mark.parametrize("expression", [(G.T * G).inverse(), sp.Inverse(G.T * G) + sp.Identity(h)], ids=str)
def test_explicit_inverse_is_refused(expression: sp.Basic) -> None:
    with pytest.raises(CodegenError, match="explicit inverse"):
        matrix_function(expression)


def test_trace_of_the_identity_is_a_size() -> None:
    _, source = matrix_function(sp.Trace(G.T * K) / sp.Trace(sp.Identity(n)))
    assert "torch.eye" not in source and "n = G.shape[-2]" in source


def test_printing_imports_no_torch() -> None:
    code = (
        "import sys, symtheory.codegen.function, symtheory.codegen.docstring\n"
        "assert 'torch' not in sys.modules and 'numeric' not in sys.modules\n"
        "assert 'sympy.printing.pytorch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
