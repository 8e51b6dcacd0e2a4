"""Docstrings of generated functions, rendered from the same SymPy objects as the code."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any

import sympy as sp
from sympy.printing.str import StrPrinter

from symtheory.codegen.arguments import Argument, DictArgument, Shape, TensorArgument, logical_shape
from symtheory.codegen.layout import INDENT, LINE_LENGTH

QUOTES = '"""'
NO_BREAK_SPACE = "\xa0"
WRAPPING: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False}
FORMULA_WIDTH = LINE_LENGTH - 2 * len(INDENT)


class FormulaPrinter(StrPrinter):
    """SymPy's text form, under the local names of the function; ``sympy.sympify`` reads it back."""

    def __init__(self, names: Mapping[sp.Basic, str]) -> None:
        super().__init__()
        self.names = names

    def _print_Symbol(self, expr: sp.Symbol) -> str:
        return self.names.get(expr, expr.name)

    def _print_MatrixSymbol(self, expr: sp.MatrixSymbol) -> str:
        return self.names.get(expr, expr.name)

    def _print_HadamardProduct(self, expr: sp.HadamardProduct) -> str:
        return f"HadamardProduct({', '.join(self._print(factor) for factor in expr.args)})"

    def _print_HadamardPower(self, expr: sp.HadamardPower) -> str:
        return f"HadamardPower({self._print(expr.base)}, {self._print(expr.exp)})"

    def _print_Identity(self, expr: sp.Identity) -> str:
        return f"Identity({self._print(expr.rows)})"

    def _print_ZeroMatrix(self, expr: sp.ZeroMatrix) -> str:
        return f"ZeroMatrix({self._print(expr.rows)}, {self._print(expr.cols)})"


def formula_lines(results: Mapping[str, sp.Basic], names: Mapping[sp.Basic, str]) -> list[str]:
    """One formula per result, ``name = expression``; long ones go on, indented, on the next lines."""
    printer = FormulaPrinter(names)
    lines = []
    for name, expression in results.items():
        text = f"{name} = {printer.doprint(expression)}"
        whole_terms = _bind_brackets(text)
        text = whole_terms if _can_wrap(whole_terms) else text
        if not _can_wrap(text):
            text = re.sub(r"(?<!\*)\*(?!\*)", " * ", text)
        wrapped = wrap(text, FORMULA_WIDTH, subsequent_indent=INDENT, **WRAPPING)
        lines += [line.replace(NO_BREAK_SPACE, " ") for line in wrapped]
    return lines


def _can_wrap(text: str) -> bool:
    return max(map(len, text.split(" "))) <= FORMULA_WIDTH - len(INDENT)


def _bind_brackets(text: str) -> str:
    """The text with spaces inside brackets made unbreakable, so that lines end between whole terms."""
    depth, result = 0, []
    for character in text:
        depth += (character in "([") - (character in ")]")
        result.append(NO_BREAK_SPACE if depth and character == " " else character)
    return "".join(result)


def render_docstring(
    summary: str,
    results: Mapping[str, sp.Basic],
    names: Mapping[sp.Basic, str],
    arguments: Sequence[Argument],
    returns: str,
    formula_title: str,
    scalar_shape: str,
    same_batch: bool,
    source: str = "",
) -> list[str]:
    """Indented lines of a docstring: summary, formulas, a shape line per argument, the result, the source."""
    lines = [*_paragraph(summary), "", f"{formula_title}::", ""]
    lines += [INDENT + line for line in formula_lines(results, names)]
    lines += ["", "Args (all tensors with the same batch axes):" if same_batch else "Args:"]
    for argument in arguments:
        lines += _hanging(f"{argument.name}: {describe_argument(argument, scalar_shape)}")
    lines += ["Returns:", *_hanging(returns)]
    if source:
        lines += ["", *_paragraph(f"Source: {source}")]
    opening = "r" + QUOTES if any("\\" in line for line in lines) else QUOTES
    lines = [f"{opening}{lines[0]}", *lines[1:], QUOTES]
    return [f"{INDENT}{line}" if line else "" for line in lines]


def describe_argument(argument: Argument, scalar_shape: str) -> str:
    """Kind, shape and meaning of an argument; ``scalar_shape`` is that of a scalar given as a tensor."""
    if isinstance(argument, DictArgument):
        entries = [
            f'"{key}" {shape_text(logical_shape(symbol, argument.shapes.get(key, ())))}'
            for key, symbol in argument.entries.items()
        ]
        text = "dict with " + ", ".join(entries)
    elif isinstance(argument, TensorArgument):
        text = f"tensor {shape_text(logical_shape(argument.symbol, argument.shape))}"
    else:
        text = f"number, or tensor {shape_text(()) if argument.unsqueeze else scalar_shape}"
    return f"{text}; {argument.meaning}." if argument.meaning else f"{text}."


def shape_text(shape: Shape) -> str:
    """A shape with its batch axes, in double backticks: ``(*batch, n, h)``."""
    return f"``({', '.join(['*batch', *map(str, shape)])})``"


def _paragraph(text: str) -> list[str]:
    return wrap(text, LINE_LENGTH - len(INDENT) - len(QUOTES) - 1, **WRAPPING)


def _hanging(text: str) -> list[str]:
    return wrap(
        text,
        LINE_LENGTH - len(INDENT),
        initial_indent=INDENT,
        subsequent_indent=2 * INDENT,
        **WRAPPING,
    )
