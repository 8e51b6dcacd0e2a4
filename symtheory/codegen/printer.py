"""SymPy scalar expressions as torch source; every symbol is a tensor (or a number) and everything broadcasts.

The printer knows exactly the nodes listed here: SymPy's own code printers fall back to text for others, this
one raises ``CodegenError``. Expressions are lowered first (``symtheory.codegen.lowering``).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import reduce
from typing import Any

import sympy as sp
from sympy.matrices.expressions.matexpr import MatrixExpr
from sympy.printing.printer import Printer

from symtheory.codegen.code import Code, Level, call, join_product, join_sum, power
from symtheory.codegen.nodes import Where
from symtheory.errors import CodegenError

FUNCTIONS = {
    **{name: f"torch.{name}" for name in ("exp", "sin", "cos", "tan", "sinh", "cosh", "tanh")},
    **{name: f"torch.{name}" for name in ("asin", "acos", "atan", "asinh", "acosh", "atanh", "atan2")},
    **{name: f"torch.{name}" for name in ("sign", "erf", "erfc", "floor")},
    "Abs": "torch.abs",
    "ceiling": "torch.ceil",
    "loggamma": "torch.lgamma",
}
"""SymPy function name to torch function. ``loggamma`` is meant for positive arguments, where it is real."""

RELATIONS = {"==": "==", "!=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}

LARGEST_EXACT_INTEGER = 2**53


class TorchSourcePrinter(Printer):
    """Prints lowered scalar expressions.

    ``names`` gives the local Python name of every symbol; ``like`` is the name of the tensor from which
    constants take their dtype and device; ``plain`` holds the symbols whose value is a Python number (sizes).
    """

    def __init__(self, names: Mapping[sp.Basic, str], like: str, plain: Iterable[sp.Basic] = ()) -> None:
        super().__init__()
        self.names = names
        self.like = like
        self.plain = frozenset(plain)

    def source(self, expression: sp.Basic) -> Code:
        """The expression as source. Raises ``CodegenError`` naming what has no torch meaning."""
        code: Code = self._print(expression)
        return code

    def is_plain(self, expression: sp.Basic) -> bool:
        """Whether the value is a Python number rather than a tensor."""
        return isinstance(expression, sp.Expr) and expression.free_symbols <= self.plain

    def _print(self, expr: sp.Basic, **kwargs: Any) -> Code:
        if isinstance(expr, sp.Expr) and not isinstance(expr, MatrixExpr | Where) and not expr.free_symbols:
            return number_source(expr)
        code: Code = super()._print(expr, **kwargs)
        return code

    def emptyPrinter(self, expr: sp.Basic) -> Code:
        raise CodegenError(f"'{type(expr).__name__}' in {expr} has no torch source: rewrite it in others")

    def _print_Symbol(self, expr: sp.Symbol) -> Code:
        if expr not in self.names:
            raise CodegenError(f"symbol '{expr}' is no argument of the function: {self._namesakes(expr)}")
        return Code(self.names[expr])

    def _namesakes(self, symbol: sp.Basic) -> str:
        if any(str(known) == str(symbol) for known in self.names):
            return "an argument has the same name but other assumptions, use one and the same symbol"
        return "add it to the arguments"

    def _print_Add(self, expr: sp.Add) -> Code:
        terms = []
        for term in expr.as_ordered_terms():
            negative = bool(term.as_coeff_Mul()[0].is_negative)
            terms.append((negative, self._print(-term if negative else term)))
        return join_sum(terms)

    def _print_Mul(self, expr: sp.Mul) -> Code:
        factors = expr.as_ordered_factors()
        coefficient = sp.Mul(*(factor for factor in factors if not factor.free_symbols))
        if coefficient.is_negative:
            return self._print(-expr).negated()
        numerator, denominator = coefficient_factors(coefficient)
        if numerator and denominator:
            # Python divides the two numbers, before a tensor is multiplied by one.
            numerator, denominator = [Code(number_source(coefficient).text, Level.UNARY)], []
        for factor in factors:
            if not factor.free_symbols:
                continue
            base, exponent = factor.as_base_exp()
            if factor.is_Pow and exponent.is_negative and exponent != -sp.S.Half:
                denominator.append(self._print(base**-exponent))
            else:
                numerator.append(self._print(factor))
        return join_product(numerator, denominator)

    def _print_Pow(self, expr: sp.Pow) -> Code:
        base, exponent = expr.args
        if abs(exponent) == sp.S.Half and not self.is_plain(base):
            function = "torch.sqrt" if exponent.is_positive else "torch.rsqrt"
            return call(function, str(self._print(base)))
        if exponent.is_Integer and exponent < 0:
            return join_product([], [self._print(base**-exponent)])
        return power(self._print(base), self._exponent(exponent))

    def _exponent(self, exponent: sp.Expr) -> Code:
        if exponent.is_Rational and not exponent.is_Integer and exponent.q & (exponent.q - 1) == 0:
            return _float_source(float(exponent))
        return self._print(exponent)

    def _print_UnevaluatedExpr(self, expr: sp.UnevaluatedExpr) -> Code:
        return self._print(expr.args[0])

    def _print_Function(self, expr: sp.Function) -> Code:
        name = type(expr).__name__
        if name not in FUNCTIONS:
            raise CodegenError(f"function '{name}' in {expr} has no torch source: rewrite it in others")
        return self._torch_call(FUNCTIONS[name], expr, expr.args)

    def _torch_call(self, function: str, expr: sp.Expr, arguments: Iterable[sp.Expr]) -> Code:
        if self.is_plain(expr):
            raise CodegenError(f"{expr} depends on sizes only: torch functions take tensors, not numbers")
        return call(function, *(str(self._print(argument)) for argument in arguments))

    def _print_log(self, expr: sp.Function) -> Code:
        (argument,) = expr.args
        constant, rest = argument.as_coeff_Add()
        if constant == 1:
            return self._torch_call("torch.log1p", expr, [rest])
        return self._torch_call("torch.log", expr, [argument])

    def _print_gamma(self, expr: sp.Function) -> Code:
        """exp(log|Γ|), with the sign of Γ, which alternates between the poles at 0, −1, −2, …"""
        (argument,) = expr.args
        magnitude = Code(f"torch.exp({self._torch_call('torch.lgamma', expr, [argument])})")
        if argument.is_positive:
            return magnitude
        below = f"torch.floor(torch.clamp({self._print(argument)}, max=0))"
        return join_product([Code(f"(1 - 2 * torch.remainder({below}, 2))"), magnitude], [])

    def _print_polygamma(self, expr: sp.Function) -> Code:
        order, argument = expr.args
        if not order.is_Integer:
            raise CodegenError(f"{expr}: polygamma has torch source at integer orders only")
        if order == 0:
            return self._torch_call("torch.digamma", expr, [argument])
        return call("torch.polygamma", str(order), str(self._print(argument)))

    def _print_Heaviside(self, expr: sp.Function) -> Code:
        argument, at_zero = expr.args
        step = Code(f"0.5 * (torch.sign({self._print(argument)}) + 1)", Level.PRODUCT)
        if at_zero == sp.S.Half:
            return step
        is_zero = Code(f"{self._print(argument).at_least(Level.OR)} == 0", Level.COMPARISON)
        return self._where(is_zero, self._print(at_zero), step)

    def _print_Max(self, expr: sp.Max) -> Code:
        return self._extremum(expr, "maximum", "min")

    def _print_Min(self, expr: sp.Min) -> Code:
        return self._extremum(expr, "minimum", "max")

    def _extremum(self, expr: sp.Expr, function: str, bound: str) -> Code:
        """Tensors are compared in pairs; a number becomes a bound of ``torch.clamp``."""
        arguments = sorted(expr.args, key=sp.default_sort_key)
        tensors = [str(self._print(argument)) for argument in arguments if not self.is_plain(argument)]
        numbers = [str(self._print(argument)) for argument in arguments if self.is_plain(argument)]
        if not tensors:
            return call(type(expr).__name__.lower(), *numbers)
        code = reduce(lambda left, right: f"torch.{function}({left}, {right})", tensors)
        for number in numbers:
            code = f"torch.clamp({code}, {bound}={number})"
        return Code(code)

    def _print_Where(self, expr: Where) -> Code:
        condition, value, otherwise = expr.args
        code = self._print(value)
        if self.is_plain(value) and self.is_plain(otherwise):
            code = call("torch.full_like", self.like, str(code))
        return self._where(self._print(condition), code, self._print(otherwise))

    def _where(self, condition: Code, value: Code, otherwise: Code) -> Code:
        return call("torch.where", str(condition), str(value), str(otherwise))

    def _print_Relational(self, expr: sp.Rel) -> Code:
        left, right = (self._print(side).at_least(Level.OR) for side in expr.args)
        return Code(f"{left} {RELATIONS[expr.rel_op]} {right}", Level.COMPARISON)

    def _print_And(self, expr: sp.And) -> Code:
        return self._logical(expr, " & ", Level.AND)

    def _print_Or(self, expr: sp.Or) -> Code:
        return self._logical(expr, " | ", Level.OR)

    def _logical(self, expr: sp.Basic, operator: str, level: Level) -> Code:
        arguments = sorted(expr.args, key=sp.default_sort_key)
        return Code(operator.join(self._print(argument).at_least(Level.SUM) for argument in arguments), level)

    def _print_Not(self, expr: sp.Not) -> Code:
        return Code(f"~{self._print(expr.args[0]).at_least(Level.ATOM)}", Level.UNARY)


def coefficient_factors(coefficient: sp.Expr) -> tuple[list[Code], list[Code]]:
    """A positive number as factors above and below a fraction bar; nothing for 1."""
    if not coefficient.is_Rational or max(abs(coefficient.p), coefficient.q) >= LARGEST_EXACT_INTEGER:
        return [number_source(coefficient)], []
    numerator = [] if coefficient.p == 1 else [Code(str(coefficient.p))]
    return numerator, [] if coefficient.q == 1 else [Code(str(coefficient.q))]


def number_source(value: sp.Expr) -> Code:
    """A number without symbols as a Python int, quotient or float, which imposes no dtype on the tensors.

    Raises ``CodegenError`` when it is not real or SymPy cannot evaluate it.
    """
    if value.is_Rational and not value.is_Integer and value.q & (value.q - 1) == 0:
        return _float_source(float(value))
    if value.is_Rational and max(abs(value.p), value.q) < LARGEST_EXACT_INTEGER:
        level = Level.PRODUCT if value.q != 1 else Level.UNARY if value.p < 0 else Level.ATOM
        return Code(str(value.p) if value.q == 1 else f"{value.p} / {value.q}", level)
    number = value.evalf(40)
    if not (number.is_Float or number.is_Rational or number in (sp.nan, sp.oo, -sp.oo)):
        raise CodegenError(f"constant {value} is not a real number that SymPy can evaluate")
    return _float_source(float(number))


def _float_source(number: float) -> Code:
    text = repr(number) if math.isfinite(number) else f'float("{number}")'
    return Code(text, Level.UNARY if text.startswith("-") else Level.ATOM)
