"""The torch function ``check_domain``: one clear line for a point where the metric is not defined."""

from __future__ import annotations

from collections.abc import Sequence

import sympy as sp

from symtheory.codegen.arguments import DictArgument
from symtheory.codegen.docstring import describe_argument
from symtheory.codegen.function import TorchFunction
from symtheory.codegen.layout import INDENT
from symtheory.codegen.paragraph import fold_entry, fold_paragraph


def render_check_domain(metric: str, conditions: Sequence[sp.Expr], point: DictArgument) -> dict[str, str]:
    """Sources of ``check_domain(point)`` and of the expressions it looks at, by function name.

    conditions: expressions in the point's symbols that must not vanish; empty for a metric defined everywhere.
    """
    if not conditions:
        return {"check_domain": _docstring_only(metric)}
    factors = TorchFunction(
        "_domain_factors",
        (point,),
        {str(condition): condition for condition in conditions},
        f"Expressions that vanish nowhere in the domain of the {metric} metric, by their text.",
    )
    return {"_domain_factors": factors.render(), "check_domain": _check_domain(metric, conditions, point)}


def _docstring_only(metric: str) -> str:
    return (
        "def check_domain(point: dict[str, Tensor]) -> None:\n"
        f'    """Nothing to check: the {metric} metric is defined at every point."""\n'
    )


def _check_domain(metric: str, conditions: Sequence[sp.Expr], point: DictArgument) -> str:
    stated = ", ".join(f"{condition} ≠ 0" for condition in conditions)
    lines = [
        "def check_domain(point: dict[str, Tensor]) -> None:",
        f'    """Refuse a point outside the domain of the {metric} metric.',
        "",
        *fold_paragraph(f"The domain is {stated}, entry by entry.", INDENT),
        "",
        "    The other functions do not check, so that torch.func and torch.compile can trace them: there",
        "    they may return inf or nan. This one looks at values, so call it outside of such transforms.",
        "",
        "    Args:",
        *fold_entry(f"point: {describe_argument(point, '')}"),
        "    Raises:",
        "        ValueError: an expression vanishes; the message names it and the first index.",
        '    """',
        "    for factor, value in _domain_factors(point).items():",
        "        zeros = (value == 0).nonzero()",
        "        if len(zeros):",
        '            where = f" at index {tuple(zeros[0].tolist())}" if value.ndim else ""',
        "            raise ValueError(",
        f'                f"{{factor}} = 0{{where}}, outside the domain of the {metric} metric: "',
        '                f"move the point to where {factor} is not zero"',
        "            )",
    ]
    return "\n".join(lines) + "\n"
