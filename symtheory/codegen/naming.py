"""Python names for symbols and for shared subexpressions: readable, unique, the same on every run."""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping

import sympy as sp
from sympy.logic.boolalg import Boolean
from sympy.matrices.expressions.matexpr import MatrixExpr

from symtheory.codegen.nodes import SolveLeft, SolveRight, Where

LONGEST_DESCRIPTION = 24
POWERS = {
    sp.Integer(2): "{}_squared",
    sp.Integer(3): "{}_cubed",
    sp.Integer(-1): "inverse_{}",
    sp.S.Half: "sqrt_{}",
    -sp.S.Half: "rsqrt_{}",
}
FALLBACKS = (
    (Boolean, "condition"),
    (SolveLeft | SolveRight, "solution"),
    (sp.MatMul, "product"),
    (sp.MatAdd, "total"),
    (MatrixExpr, "matrix"),
    (sp.Trace, "trace"),
    (Where, "selected"),
    (sp.Add, "total"),
    (sp.Mul, "factor"),
    (sp.Pow, "power"),
)


class Names:
    """Hands out unique identifiers; names taken once are never given again."""

    def __init__(self, reserved: set[str]) -> None:
        self.taken = {"torch", "Tensor", "abs", "float", "dict", "max", "min", "range", *keyword.kwlist, *reserved}

    def unique(self, wish: str) -> str:
        """The wish as an identifier, with an underscore, then a number, appended when it is taken."""
        base = re.sub(r"\W", "_", wish) or "value"
        base = f"_{base}" if base[0].isdigit() else base
        candidates = iter([base, f"{base}_", *(f"{base}_{index}" for index in range(2, len(self.taken) + 4))])
        name = next(candidate for candidate in candidates if candidate not in self.taken)
        self.taken.add(name)
        return name

    def numbered(self, wish: str) -> str:
        """The wish, or the wish with the next free number."""
        if wish not in self.taken:
            self.taken.add(wish)
            return wish
        index = next(index for index in range(2, len(self.taken) + 3) if f"{wish}_{index}" not in self.taken)
        self.taken.add(f"{wish}_{index}")
        return f"{wish}_{index}"


def describe(expression: sp.Basic, names: Mapping[sp.Basic, str]) -> str:
    """A name that says what the expression is (``u_squared``, ``u_times_v``) or its kind (``factor``)."""
    description = _describe_parts(expression, names)
    if description and len(description) <= LONGEST_DESCRIPTION:
        return description
    return next((word for kind, word in FALLBACKS if isinstance(expression, kind)), "value")


def _describe_parts(expression: sp.Basic, names: Mapping[sp.Basic, str]) -> str | None:
    parts = [names.get(argument) for argument in expression.args]
    if isinstance(expression, sp.Pow):
        pattern = POWERS.get(expression.args[1])
        return pattern.format(parts[0]) if pattern and parts[0] else None
    if isinstance(expression, sp.Transpose):
        return f"{parts[0]}_transposed" if parts[0] else None
    if None in parts or not 0 < len(parts) <= 3:
        return None
    words = [part for part in parts if part is not None]
    if isinstance(expression, sp.Function):
        return "_".join([type(expression).__name__, *words])
    if isinstance(expression, sp.Mul):
        return "_times_".join(sorted(words))
    return "_plus_".join(sorted(words)) if isinstance(expression, sp.Add) else None
