"""Operations entry by entry: name in torch → C++ expression of vectors {0}, {1}, …"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FUNCTIONS = (
    "exp",
    "expm1",
    "log",
    "log1p",
    "sqrt",
    "sin",
    "cos",
    "tanh",
    "sinh",
    "cosh",
    "asinh",
    "atan",
    "erf",
    "erfc",
)
"""Taken from the C++ library, one replica after the other."""

_COMPARISONS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<=", "eq": "==", "ne": "!="}
# Vectors compare to vectors of masks. What is not a number goes through, as it does in torch.
_EXPRESSIONS = {
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "rsub": "{1} - {0}",
    "mul": "{0} * {1}",
    "div": "{0} / {1}",
    "neg": "-{0}",
    "reciprocal": "one / {0}",
    "rsqrt": "one / each_sqrt({0})",
    "square": "{0} * {0}",
    "abs": "({0} < zero ? -{0} : {0})",
    "sgn": "({0} > zero ? one : zero) - ({0} < zero ? one : zero)",
    "relu": "({0} < zero ? zero : {0})",
    "leaky_relu": "({0} > zero ? {0} : {0} * {1})",
    "silu": "{0} / (one + each_exp(-{0}))",
    "gelu": "{0} * (one + each_erf({0} * spread(T(0.70710678118654752)))) / spread(T(2))",
    "maximum": "(({0} > {1}) | ({0} != {0}) ? {0} : {1})",
    "minimum": "(({0} < {1}) | ({0} != {0}) ? {0} : {1})",
    "where": "({0} != zero ? {1} : {2})",
    "threshold_backward": "({1} <= {2} ? zero : {0})",
    "sigmoid": "one / (one + each_exp(-{0}))",
    "tanh_backward": "{0} * (one - {1} * {1})",
    "sigmoid_backward": "{0} * {1} * (one - {1})",
    "clone": "{0}",
    "copy": "{1}",
    "_to_copy": "{0}",
}
EXPRESSIONS: Mapping[str, str] = {
    **_EXPRESSIONS,
    "sign": _EXPRESSIONS["sgn"],
    **{name: f"each_{name}({{0}})" for name in FUNCTIONS},
    **{name: f"({{0}} {sign} {{1}} ? one : zero)" for name, sign in _COMPARISONS.items()},
}


def power(base: str, exponent: Any) -> str:
    """base ** exponent for a number: by multiplication where that is short."""
    if isinstance(exponent, int | float) and exponent in (1, 2, 3, 4):
        return " * ".join([base] * int(exponent))
    if exponent == 0.5:
        return f"each_sqrt({base})"
    if exponent == -1:
        return f"one / {base}"
    return f"each_pow({base}, {literal(exponent)})"


def literal(number: Any) -> str:
    """A Python number as a vector."""
    text = repr(float(number))
    return f"spread(T({text.replace('inf', 'INFINITY').replace('nan', 'NAN')}))"
