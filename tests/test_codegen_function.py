"""Generated functions: dicts, sums, constants, scalars, names, docstrings, and what torch does with them."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import sympy as sp
import torch
from oracles import mpmath_value

from symtheory.codegen.arguments import DictArgument, ScalarArgument, TensorArgument
from symtheory.codegen.function import TorchFunction, render_imports
from symtheory.errors import CodegenError

ROUNDING = 1e-14
"""Two float64 computations of the same short formula differ by a few times 1.1e-16."""

u, v, xi_u, xi_v, zeta_u, zeta_v = sp.symbols("u v xi_u xi_v zeta_u zeta_v", real=True)
w, t, eta = sp.symbols("w t eta", real=True)
n, h = sp.symbols("n h", integer=True, positive=True)
G, xi_G = sp.MatrixSymbol("G", n, h), sp.MatrixSymbol("xi_G", n, h)

SHAPES = {"u": ("d",), "v": ("d",)}
POINT = DictArgument("point", {"u": u, "v": v}, SHAPES, "where the metric is taken")
XI = DictArgument("xi", {"u": xi_u, "v": xi_v}, SHAPES)
ZETA = DictArgument("zeta", {"u": zeta_u, "v": zeta_v}, SHAPES)
PAIRING = xi_u * zeta_u / u**2 + xi_v * zeta_v / v**2
BALANCED = (v * xi_u + u * xi_v) / (2 * u * v)
STRETCH = sp.sqrt(1 + 2 * BALANCED * t)

INNER = TorchFunction("inner", (POINT, XI, ZETA), PAIRING, "Inner product.", sum_axes=1, source="a paper")
GEODESIC = TorchFunction(
    "geodesic",
    (POINT, XI, ScalarArgument("t", t, default_value=1.0, unsqueeze=1)),
    {"u": u * STRETCH, "v": v * STRETCH},
    "Geodesic of the mixed metric.",
)
CHRISTOFFEL = TorchFunction(
    "christoffel_form",
    (DictArgument("point", {"G": G}), DictArgument("xi", {"G": xi_G})),
    {"G": -xi_G * (G.T * G).inverse() * (xi_G.T * G + G.T * xi_G) + G * (G.T * G).inverse() * xi_G.T * xi_G},
    "Christoffel form of the invariant metric.",
)
POTENTIAL = TorchFunction(
    "potential",
    (TensorArgument("w", w, ("d",)), ScalarArgument("eta", eta)),
    w * sp.asinh(w / eta**2) - sp.sqrt(w**2 + eta**4) + sp.log(eta),
    "Hyperbolic entropy.",
    sum_axes=1,
)


def compiled(function: TorchFunction) -> Callable[..., Any]:
    namespace: dict[str, Any] = {}
    exec(render_imports(["torch."]) + function.render(), namespace)
    return namespace[function.name]


def leaves(*batch: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {key: torch.rand(*batch, 5, generator=generator, dtype=dtype) + 0.5 for key in ("u", "v")}


def test_inner_sums_over_the_logical_axis_only() -> None:
    inner = compiled(INNER)
    point, xi, zeta = leaves(3, 2), leaves(3, 2, seed=1), leaves(3, 2, seed=2)
    value = inner(point, xi, zeta)
    assert value.shape == (3, 2)
    coordinates = [
        mpmath_value(
            PAIRING,
            {
                symbol: tensors[key][1, 1, index].item()
                for tensors, symbols in ((point, (u, v)), (xi, (xi_u, xi_v)), (zeta, (zeta_u, zeta_v)))
                for key, symbol in zip("uv", symbols, strict=True)
            },
        )
        for index in range(5)
    ]
    assert abs(value[1, 1].item() / float(sum(coordinates)) - 1) < ROUNDING


def test_two_logical_axes_are_summed() -> None:
    function = compiled(TorchFunction("f", (TensorArgument("w", w, ("n", "m")),), w**2, "Sum.", sum_axes=2))
    value = torch.arange(24.0).reshape(2, 3, 4)
    assert torch.equal(function(value), (value**2).sum((1, 2)))


@pytest.mark.parametrize("time", [0.25, torch.tensor(0.25, dtype=torch.float64), torch.tensor([0.1, 0.2, 0.3])])
def test_scalar_with_axes_added_is_one_number_per_batch_entry(time: float | torch.Tensor) -> None:
    point, xi = leaves(3), leaves(3, seed=1)
    end = compiled(GEODESIC)(point, xi, time)
    column = torch.as_tensor(time, dtype=torch.float64).expand(3)[:, None]
    speed = (point["v"] * xi["u"] + point["u"] * xi["v"]) / (2 * point["u"] * point["v"])
    torch.testing.assert_close(end["u"], point["u"] * (1 + 2 * speed * column).sqrt(), rtol=ROUNDING, atol=0)


def test_default_value_of_a_scalar() -> None:
    point, xi = leaves(), leaves(seed=1)
    geodesic = compiled(GEODESIC)
    assert torch.equal(geodesic(point, xi)["u"], geodesic(point, xi, 1.0)["u"])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_constants_take_shape_dtype_and_device_of_the_entry(dtype: torch.dtype) -> None:
    results = {"u": sp.Integer(0), "v": sp.sqrt(2), "w": eta / 2, "one": sp.Integer(1), "root": sp.sqrt(eta)}
    function = compiled(TorchFunction("f", (POINT, ScalarArgument("eta", eta)), results, "Constants."))
    point = {"u": torch.ones(2, 5, dtype=dtype), "v": torch.ones(7, 3, dtype=dtype)}
    values = function(point, 0.25)
    assert {key: tuple(value.shape) for key, value in values.items()} == {
        **{"u": (2, 5), "v": (7, 3)},
        **{"w": (2, 5), "one": (2, 5), "root": (2, 5)},
    }
    assert {value.dtype for value in values.values()} == {dtype}
    assert [value.flatten()[0].item() for value in values.values()] == [
        0, torch.tensor(2**0.5, dtype=dtype).item(), 0.125, 1, 0.5,
    ]  # fmt: skip
    assert all(value.device == point["u"].device for value in values.values())
    meta = function({key: value.to("meta") for key, value in point.items()}, 0.25)
    assert {value.device.type for value in meta.values()} == {"meta"}


def test_constant_is_summed_like_any_result() -> None:
    function = compiled(TorchFunction("f", (TensorArgument("w", w, ("d",)),), sp.Integer(3), "Three.", sum_axes=1))
    assert torch.equal(function(torch.zeros(2, 5)), torch.full((2,), 15.0))


def test_matrix_constants_and_sizes() -> None:
    results = {"zero": sp.ZeroMatrix(h, h), "eye": 2 * sp.Identity(h), "size": n + h, "eta": eta * n}
    arguments = (DictArgument("point", {"G": G}), ScalarArgument("eta", eta))
    values = compiled(TorchFunction("f", arguments, results, "Constants."))(
        {"G": torch.zeros(6, 4, 2, dtype=torch.float32)}, 0.5
    )
    assert torch.equal(values["zero"], torch.zeros(6, 2, 2))
    assert torch.equal(values["eye"], (2 * torch.eye(2)).expand(6, 2, 2))
    assert torch.equal(values["size"], torch.full((6,), 6.0)) and torch.equal(values["eta"], torch.full((6,), 2.0))


@pytest.mark.parametrize("setting", [0.3, torch.tensor(0.3, dtype=torch.float64)])
def test_number_or_tensor_inside_functions(setting: float | torch.Tensor) -> None:
    value = leaves(3)["u"]
    result = compiled(POTENTIAL)(value, setting)
    assert result.shape == (3,) and result.dtype == torch.float64
    expected = sum(mpmath_value(POTENTIAL.results, {w: entry, eta: float(setting)}) for entry in value[1].tolist())
    assert abs(result[1].item() / float(expected) - 1) < 10 * ROUNDING
    assert compiled(POTENTIAL)(value.float(), 0.3).dtype == torch.float32


def dense(tangents: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.stack([value.sum() for value in tangents.values()]).sum()


CASES = {
    "inner": (INNER, lambda: (leaves(4), leaves(4, seed=1), leaves(4, seed=2))),
    "geodesic": (GEODESIC, lambda: (leaves(4), leaves(4, seed=1), torch.linspace(0.1, 0.4, 4).double())),
    "potential": (POTENTIAL, lambda: (leaves(4)["u"], torch.linspace(0.1, 0.4, 4).double()[:, None])),
    "christoffel": (
        CHRISTOFFEL,
        lambda: tuple(
            {"G": torch.randn(4, 5, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)}
            for seed in (3, 4)
        ),
    ),
}


def scalar(result: torch.Tensor | dict[str, torch.Tensor]) -> torch.Tensor:
    return dense(result) if isinstance(result, dict) else result.sum()


@pytest.mark.parametrize("case", CASES)
def test_vmap_equals_batch_axes(case: str) -> None:
    specification, inputs = CASES[case]
    function, arguments = compiled(specification), inputs()
    torch.testing.assert_close(torch.func.vmap(function)(*arguments), function(*arguments), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_derivatives_agree_with_each_other_and_with_differences(case: str) -> None:
    specification, inputs = CASES[case]
    function, arguments = compiled(specification), inputs()
    flat, spec = torch.utils._pytree.tree_flatten(arguments)

    def of(*values: torch.Tensor) -> torch.Tensor:
        return scalar(function(*torch.utils._pytree.tree_unflatten(list(values), spec)))

    gradients = torch.func.grad(of, argnums=tuple(range(len(flat))))(*flat)
    directions = tuple(torch.ones_like(value) for value in flat)
    _, derivative = torch.func.jvp(of, tuple(flat), directions)
    torch.testing.assert_close(derivative, sum(gradient.sum() for gradient in gradients), rtol=1e-11, atol=1e-11)
    tracked = [value[:1].clone().requires_grad_() for value in flat]
    assert torch.autograd.gradcheck(of, tracked) and torch.autograd.gradgradcheck(of, tracked)
    hessian = torch.func.hessian(of)(*flat)
    size = flat[0].numel()
    square = hessian.reshape(size, size)
    torch.testing.assert_close(square, square.T, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("case", CASES)
def test_compiles_to_one_graph(case: str) -> None:
    specification, inputs = CASES[case]
    function, arguments = compiled(specification), inputs()
    torch._dynamo.reset()
    whole = torch.compile(function, fullgraph=True, backend="eager")
    torch.testing.assert_close(whole(*arguments), function(*arguments), rtol=0, atol=0)


def test_vmap_over_a_scalar_argument() -> None:
    value, settings = leaves()["u"], torch.linspace(0.1, 0.5, 7, dtype=torch.float64)
    function = compiled(POTENTIAL)
    stacked = torch.stack([function(value, setting) for setting in settings])
    torch.testing.assert_close(torch.func.vmap(function, (None, 0))(value, settings), stacked, rtol=ROUNDING, atol=0)


def test_only_what_is_used_is_unpacked_and_shared_work_has_a_name() -> None:
    source = TorchFunction("f", (POINT, XI), u * xi_u + sp.exp(u * xi_u), "Test.").render()
    assert 'u = point["u"]\n' in source and 'xi_u = xi["u"]\n' in source and '["v"]' not in source.split("Returns")[1]
    assert "    u_times_xi_u = u * xi_u\n    return u_times_xi_u + torch.exp(u_times_xi_u)\n" in source


def test_names_that_collide_or_are_no_identifiers() -> None:
    first, second, third = sp.Symbol("point"), sp.Symbol("lambda"), sp.Symbol("torch")
    entries = {"point": first, "lambda": second, "torch": third}
    function = compiled(TorchFunction("f", (DictArgument("point", entries),), first * second + sp.exp(third), "T."))
    values = {key: torch.tensor(number) for key, number in (("point", 2.0), ("lambda", 3.0), ("torch", 0.0))}
    assert function(values).item() == 7.0


def test_bound_twice_and_no_tensor_at_all_are_refused() -> None:
    with pytest.raises(CodegenError, match="'u' is bound twice"):
        TorchFunction("f", (POINT, TensorArgument("w", u)), u, "Test.").render()
    with pytest.raises(CodegenError, match="needs a tensor argument"):
        TorchFunction("f", (ScalarArgument("eta", eta),), eta**2, "Test.").render()


FORMULA = re.compile(r"^    (\S.*)$((?:\n        .*)*)", re.MULTILINE)


@pytest.mark.parametrize("function", [INNER, GEODESIC, POTENTIAL, CHRISTOFFEL], ids=lambda f: f.name)
def test_formula_in_the_docstring_is_the_expression(function: TorchFunction) -> None:
    # getdoc removes the indentation, as the compiler does from Python 3.13 on.
    documentation = inspect.getdoc(compiled(function)) or ""
    block = documentation.split("::\n\n")[1].split("\n\n")[0]
    formulas = {}
    for first, rest in FORMULA.findall(block):
        name, text = (first + rest).split(" = ", 1)
        formulas[name] = " ".join(text.split())
    symbols = {str(symbol): symbol for symbol in function.body.names}
    results = function.results if isinstance(function.results, dict) else {None: function.results}
    assert len(formulas) == len(results)
    for (key, expression), (name, text) in zip(results.items(), formulas.items(), strict=True):
        assert name == (function.name if key is None else f'result["{key}"]')
        parsed = sp.sympify(text, locals=symbols)
        difference = (parsed - expression).doit()
        assert difference.is_ZeroMatrix if isinstance(expression, sp.MatrixExpr) else sp.expand(difference) == 0


def test_docstring_states_shapes_and_source() -> None:
    documentation = compiled(INNER).__doc__ or ""
    assert 'point: dict with "u" ``(*batch, d)``, "v" ``(*batch, d)``; where the metric is taken.' in documentation
    assert "summed over the last axis" in documentation and "Source: a paper" in documentation
    matrices = compiled(CHRISTOFFEL).__doc__ or ""
    assert 'dict with "G" ``(*batch, n, h)``' in matrices and "the same batch axes" in matrices


def test_signature() -> None:
    assert str(inspect.signature(compiled(GEODESIC))) == (
        "(point: 'dict[str, Tensor]', xi: 'dict[str, Tensor]', t: 'float | Tensor' = 1.0) -> 'dict[str, Tensor]'"
    )


@pytest.mark.parametrize("function", [INNER, GEODESIC, POTENTIAL, CHRISTOFFEL], ids=lambda f: f.name)
def test_source_is_formatted(function: TorchFunction, tmp_path: Any) -> None:
    path = tmp_path / "generated.py"
    path.write_text(render_imports(["torch."]) + "\n\n" + function.render())
    command = [sys.executable, "-m", "ruff", "format", "--isolated", "--line-length", "100", "--diff", str(path)]
    formatted = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert formatted.returncode == 0, formatted.stdout + formatted.stderr


RENDER = """
import sympy as sp
from symtheory.codegen.arguments import DictArgument
from symtheory.codegen.function import TorchFunction
u, v, w, n, h = *sp.symbols("u v w", real=True), *sp.symbols("n h", integer=True, positive=True)
G, H = sp.MatrixSymbol("G", n, h), sp.MatrixSymbol("H", n, h)
scalars = sp.Max(u, v, w) * sp.exp(u + v) + sp.sqrt(u + v) / (v + w) + sp.log(v + w) * sp.sin(u * v) * u * v * w
matrices = {"G": G * (H.T * H).inverse() + H * (H.T * H).inverse(), "H": G * H.T * G + sp.Trace(H.T * G) * H}
print(TorchFunction("f", (DictArgument("point", {"u": u, "v": v, "w": w}),), scalars, "S.").render())
print(TorchFunction("g", (DictArgument("point", {"G": G, "H": H}),), matrices, "M.").render())
"""


def test_source_is_the_same_in_every_process() -> None:
    outputs = {
        subprocess.run(
            [sys.executable, "-c", RENDER],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(outputs) == 1


def test_solves_broadcast_batch_axes() -> None:
    """A (2, 2, 2) and B (2, 2): torch.linalg.solve alone would read B as two vectors, without a word."""
    A, B = sp.MatrixSymbol("A", n, n), sp.MatrixSymbol("B", n, n)
    function = TorchFunction("solution", (TensorArgument("A", A), TensorArgument("B", B)), A.inverse() * B, "A⁻¹ B.")
    generator = torch.Generator().manual_seed(3)
    a = torch.eye(2, dtype=torch.float64) + 0.3 * torch.randn(2, 2, 2, generator=generator, dtype=torch.float64)
    b = torch.randn(2, 2, generator=generator, dtype=torch.float64)
    solve = compiled(function)
    torch.testing.assert_close(solve(a, b), torch.linalg.inv(a) @ b, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(solve(a[0], torch.stack([b, b])), (torch.linalg.inv(a[0]) @ b).expand(2, 2, 2))


def test_imports_name_only_what_is_used() -> None:
    assert "import torch\n" not in render_imports([INNER.render()])
    assert "import torch\n" in render_imports([INNER.render(), GEODESIC.render()])
