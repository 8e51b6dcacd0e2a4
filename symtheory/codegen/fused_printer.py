"""Sums printed with torch's fused operations: ``addcmul``, ``addcdiv`` and ``add`` with a factor."""

from __future__ import annotations

import sympy as sp

from symtheory.codegen.code import Code, Level, call
from symtheory.codegen.matrix_printer import TorchMatrixPrinter


class FusedPrinter(TorchMatrixPrinter):
    """Prints a + c x y as one operation, which reads and writes memory once where a product and a sum do twice.

    Every symbol must be a tensor. Rounding differs from that of the plain sum by the last bit.
    """

    def _print_Add(self, expr: sp.Add) -> Code:
        terms = [term for term in expr.as_ordered_terms() if term.free_symbols]
        constant = expr.func(*(term for term in expr.args if not term.free_symbols))
        base = min(terms, key=_starting_cost)
        rest = [term for term in terms if term is not base]
        if not any(map(_gains, rest)):
            return super()._print_Add(expr)
        code = self._print(base)
        # What gains nothing is added first, as it is.
        plain = [term for term in rest if not _gains(term)]
        if plain:
            code = super()._print_Add(sp.Add(base, *plain, evaluate=False))
        for term in rest:
            if _gains(term):
                code = self._accumulated(code, term)
        if constant != 0:
            operator = "-" if constant.is_negative else "+"
            code = Code(f"{code} {operator} {self._print(abs(constant))}", Level.SUM)
        return code

    def _accumulated(self, total: Code, term: sp.Expr) -> Code:
        """total + term in one operation, apart from what the factors of the term need."""
        coefficient, product = _split(term)
        left, right, divides = _parts(product)
        if right is None:
            factor = f", alpha={self._print(coefficient)}"
            return call("torch.add", str(total), str(self._print(left)) + factor)
        factor = "" if coefficient == 1 else f", value={self._print(coefficient)}"
        function = "torch.addcdiv" if divides else "torch.addcmul"
        return call(function, str(total), str(self._print(left)), str(self._print(right)) + factor)


def _split(term: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    """Number and rest; sharing leaves products inside of products, with numbers anywhere."""
    flat = [part for factor in sp.Mul.make_args(term) for part in sp.Mul.make_args(factor)]
    number = sp.Mul(*(part for part in flat if not part.free_symbols))
    return number, sp.Mul(*(part for part in flat if part.free_symbols))


def _parts(product: sp.Expr) -> tuple[sp.Expr, sp.Expr | None, bool]:
    """Two factors of a product, or a numerator and its denominator (then True), or the whole and None."""
    numerator, denominator = sp.fraction(product)
    if denominator != 1:
        return numerator, denominator, True
    if product.is_Pow and product.exp == 2:
        return product.base, product.base, False
    if product.is_Mul:
        *first, last = product.as_ordered_factors()
        return sp.Mul(*first), last, False
    return product, None, False


def _gains(term: sp.Expr) -> bool:
    coefficient, product = _split(term)
    return abs(coefficient) != 1 or _parts(product)[1] is not None


def _starting_cost(term: sp.Expr) -> tuple[bool, bool]:
    """Cheapest to begin with: a tensor as it is, then one without a coefficient."""
    coefficient, _ = _split(term)
    return _gains(term), coefficient != 1
