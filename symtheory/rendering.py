"""How formulas are written: one line of text, LaTeX, or MathML for browsers. A list is written with commas."""

from __future__ import annotations

from typing import Any

import sympy as sp
from sympy.core.function import AppliedUndef
from sympy.printing.latex import LatexPrinter
from sympy.printing.str import StrPrinter


class PlainPrinter(StrPrinter):
    """SymPy's text form with Q'(w) for a first derivative, |w| for an absolute value, Gamma^u_vv for indices, and
    ones(1, k) for a matrix of ones."""

    def _print_Derivative(self, expr: sp.Derivative) -> str:
        function = expr.expr
        if isinstance(function, AppliedUndef) and expr.variables == function.args:
            return f"{function.func.__name__}'({self._print(function.args[0])})"
        return super()._print_Derivative(expr)

    def _print_Symbol(self, expr: sp.Symbol) -> str:
        return str(expr.name).replace("__", "^").replace(" ", "")

    def _print_Abs(self, expr: sp.Abs) -> str:
        return f"|{self._print(expr.args[0])}|"

    def _print_OneMatrix(self, expr: sp.OneMatrix) -> str:
        # SymPy writes a bare 1, and 1*W then reads as W instead of as the sums of its columns.
        return f"ones({', '.join(map(self._print, expr.shape))})"


def plain(expression: Any) -> str:
    """One line of text: ``left = right`` for an equation, ``Gamma^u_vv`` for an indexed name, Q'(w), |w|."""
    if isinstance(expression, list):
        return ", ".join(map(plain, expression))
    if isinstance(expression, sp.Eq):
        return f"{plain(expression.lhs)} = {plain(expression.rhs)}"
    return str(PlainPrinter().doprint(expression))


class FormulaLatexPrinter(LatexPrinter):
    """SymPy's LaTeX, where a matrix of ones is told from the number."""

    def _print_OneMatrix(self, expr: sp.OneMatrix) -> str:
        rows, columns = map(self._print, expr.shape)
        return rf"\mathbf{{1}}_{{{rows} \times {columns}}}"


def latex(expression: Any) -> str:
    """LaTeX without delimiters."""
    if isinstance(expression, list):
        return ",\\; ".join(map(latex, expression))
    return str(FormulaLatexPrinter().doprint(expression))


def mathml(expression: Any) -> str:
    """Presentation MathML, one ``math`` element."""
    from sympy.printing.mathml import MathMLPresentationPrinter

    class Printer(MathMLPresentationPrinter):
        """Keeps the case of function names, which SymPy writes in lower case."""

        def mathml_tag(self, e: Any) -> str:
            return e.func.__name__ if isinstance(e, AppliedUndef) else super().mathml_tag(e)

        def _print_OneMatrix(self, expr: sp.OneMatrix) -> Any:
            return self._double_struck("\N{MATHEMATICAL DOUBLE-STRUCK DIGIT ONE}")

        def _print_ZeroMatrix(self, expr: sp.ZeroMatrix) -> Any:
            return self._double_struck("\N{MATHEMATICAL DOUBLE-STRUCK DIGIT ZERO}")

        def _double_struck(self, digit: str) -> Any:
            # SymPy writes these two as entities without their semicolon, which is no XML.
            element = self.dom.createElement("mn")
            element.appendChild(self.dom.createTextNode(digit))
            return element

    def row(entry: Any) -> str:
        # A product touches a function name that follows it; a thin space keeps w asinh from reading as one word.
        text: str = Printer().doprint(entry)
        return text.replace("<mo>&InvisibleTimes;</mo>", '<mspace width="0.17em"/>')

    rows = [row(entry) for entry in expression] if isinstance(expression, list) else [row(expression)]
    comma = '<mo>,</mo><mspace width="1em"/>'
    return f"<math>{comma.join(rows)}</math>"
