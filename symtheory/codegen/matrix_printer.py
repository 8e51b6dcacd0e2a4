"""SymPy matrix expressions as torch source: matrices in the last two axes, solves instead of inverses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import sympy as sp
from sympy.matrices.expressions.matexpr import MatrixExpr

from symtheory.codegen.code import Code, Level, join_product, join_sum, power
from symtheory.codegen.nodes import SolveLeft, SolveRight
from symtheory.codegen.printer import TorchSourcePrinter, coefficient_factors


class TorchMatrixPrinter(TorchSourcePrinter):
    """Adds matrix nodes: a MatrixSymbol (n, h) is a tensor (*batch, n, h), a scalar symbol is (*batch).

    ``torch.linalg.solve`` reads a right-hand side with one axis less than the matrix as a batch of vectors when the
    sizes allow it, so right-hand sides are expanded to the batch axes of all tensors: ``batch`` is the name that
    holds these, empty where a single tensor leaves nothing to confuse.
    """

    def __init__(
        self, names: Mapping[sp.Basic, str], like: str, plain: Iterable[sp.Basic] = (), batch: str = ""
    ) -> None:
        super().__init__(names, like, plain)
        self.batch = batch

    def _print_MatrixSymbol(self, expr: sp.MatrixSymbol) -> Code:
        return self._print_Symbol(expr)

    def _print_MatAdd(self, expr: sp.MatAdd) -> Code:
        terms = []
        for term in expr.args:
            coefficient, matrix = term.as_coeff_mmul()
            negative = bool(coefficient.as_coeff_Mul()[0].is_negative)
            positive = matrix if coefficient == -1 else sp.MatMul(-coefficient, *_factors(matrix))
            terms.append((negative, self._print(positive if negative else term)))
        return join_sum(terms)

    def _print_MatMul(self, expr: sp.MatMul) -> Code:
        coefficient, matrices = expr.as_coeff_matrices()
        number, scalar = coefficient.as_independent(*coefficient.free_symbols, as_Add=False)
        if number.is_negative:
            positive = _product(matrices) if coefficient == -1 else sp.MatMul(-coefficient, *matrices)
            return self._print(positive).negated()
        numerator, denominator = coefficient_factors(number)
        if scalar != 1:
            numerator.append(self._scalar_factor(scalar))
        chain = join_product([self._print(matrix) for matrix in matrices], [], operator="@")
        if not numerator and not denominator:
            return chain
        prefix = "".join(f"{factor.at_least(Level.UNARY)} * " for factor in numerator)
        suffix = "".join(f" / {factor}" for factor in denominator)
        return Code(f"{prefix}{chain.at_least(Level.PRODUCT)}{suffix}", Level.PRODUCT)

    def _scalar_factor(self, scalar: sp.Expr) -> Code:
        """A scalar of shape (*batch) gets two axes of size 1, so that it multiplies whole matrices."""
        code = self._print(scalar)
        return code if self.is_plain(scalar) else Code(f"{code.at_least(Level.ATOM)}[..., None, None]")

    def _print_HadamardProduct(self, expr: sp.HadamardProduct) -> Code:
        return join_product([self._print(factor) for factor in expr.args], [])

    def _print_HadamardPower(self, expr: sp.HadamardPower) -> Code:
        base, exponent = expr.args
        return power(self._print(base), self._exponent(exponent))

    def _print_Transpose(self, expr: sp.Transpose) -> Code:
        return Code(f"{self._print(expr.arg).at_least(Level.ATOM)}.mT")

    def _print_SolveLeft(self, expr: SolveLeft) -> Code:
        matrix, right = expr.args
        return Code(f"torch.linalg.solve({self._print(matrix)}, {self._right_hand_side(right)})")

    def _print_SolveRight(self, expr: SolveRight) -> Code:
        matrix, right = expr.args
        return Code(f"torch.linalg.solve({self._print(matrix)}, {self._right_hand_side(right)}, left=False)")

    def _right_hand_side(self, expr: MatrixExpr) -> str:
        code = self._print(expr)
        return f"{code.at_least(Level.ATOM)}.expand(*{self.batch}, -1, -1)" if self.batch else str(code)

    def _print_Trace(self, expr: sp.Trace) -> Code:
        return Code(f"{self._print(expr.arg).at_least(Level.ATOM)}.diagonal(dim1=-2, dim2=-1).sum(-1)")

    def _print_Identity(self, expr: sp.Identity) -> Code:
        size = self._print(expr.rows)
        return Code(f"torch.eye({size}, dtype={self.like}.dtype, device={self.like}.device)")

    def _print_ZeroMatrix(self, expr: sp.ZeroMatrix) -> Code:
        rows, columns = (self._print(size) for size in expr.shape)
        return Code(f"{self.like}.new_zeros((*{self.like}.shape[:-2], {rows}, {columns}))")


def _factors(matrix: MatrixExpr) -> Sequence[sp.Basic]:
    return matrix.args if isinstance(matrix, sp.MatMul) else (matrix,)


def _product(matrices: Sequence[MatrixExpr]) -> MatrixExpr:
    return matrices[0] if len(matrices) == 1 else sp.MatMul(*matrices)
