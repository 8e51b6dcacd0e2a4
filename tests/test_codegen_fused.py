"""Fused sums and the count of passes: the same values, fewer operations."""

from __future__ import annotations

import pytest
import sympy as sp
import torch

from symtheory.codegen.arguments import DictArgument
from symtheory.codegen.function import TorchFunction, render_imports
from symtheory.codegen.nodes import Fused
from symtheory.codegen.passes import POWER, count_passes

x, y, z = sp.symbols("x y z", real=True)
POINT = DictArgument("point", {"x": x, "y": y, "z": z})
ROUNDING = 1e-14
"""A few roundings of float64, of terms no larger than ten."""

SUMS = {
    "product": x + y * z,
    "difference": x - 3 * y * z,
    "quotient": x + y / z,
    "square": x - y**2 / 3,
    "numbers": sp.Rational(1, 2) + x / 3 - sp.Rational(2, 3) * y,
    "constant": 1 + x - y * z,
    "nested": x + y * (z + 2 * sp.UnevaluatedExpr(x * y) * (1 - z)),
    "no gain": x - y + z,
    "shared": sp.sqrt(1 + (x * y) ** 2) - x * y * z / 2,
}


def function(expression: sp.Expr) -> TorchFunction:
    return TorchFunction("f", (POINT,), {"f": expression}, "A sum.")


@pytest.mark.parametrize("case", SUMS)
def test_fused_sums_have_the_value_of_plain_ones_and_cost_no_more(case: str) -> None:
    sources = [function(form(SUMS[case])).render() for form in (sp.sympify, Fused)]
    torch.manual_seed(0)
    point = {key: 0.5 + torch.rand(4, dtype=torch.float64) for key in "xyz"}
    values = []
    for source in sources:
        names: dict[str, object] = {}
        exec(render_imports([source]) + source, names)
        values.append(names["f"](point)["f"])
    torch.testing.assert_close(values[1], values[0], rtol=ROUNDING, atol=ROUNDING)
    plain, fused = map(count_passes, sources)
    assert fused == plain if case == "no gain" else fused < plain
    assert ("torch.add" in sources[1]) == (case != "no gain")


def test_the_docstring_of_a_fused_function_shows_the_formula() -> None:
    assert "x + y*z" in function(Fused(x + y * z)).render()


@pytest.mark.parametrize(
    ("body", "passes"),
    [
        ("return {'f': x * y + 2 * x}", 3),
        ("return {'f': 1 / x}", 2),
        ("return {'f': x / 2}", 1),
        ("return {'f': 2 / 3 * x**3}", 2),
        ("return {'f': x**4}", POWER),
        ("return {'f': -x, 'g': torch.addcmul(x, x, y)}", 2),
        ("return (x * y).sum(-1)", 2),
        ("half = t**2 / 2\n    return {'f': half * x}", 1),
        ("t = torch.as_tensor(t, dtype=x.dtype)\n    w = t * x\n    return {'f': w, 'g': t * w}", 2),
    ],
)
def test_passes_are_operations_on_whole_tensors(body: str, passes: int) -> None:
    assert count_passes(f'def f(x, y, t):\n    """A function."""\n    {body}\n') == passes


def test_what_is_held_together_is_not_multiplied_out() -> None:
    held = sp.UnevaluatedExpr(x / y)
    source = function(2 * held * z - held**2).render()
    assert "x_over" not in source and source.count("x / y") == 1
