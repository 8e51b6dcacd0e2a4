"""SymPy nodes that stand for one torch call each; lowering brings them in before sharing."""

from __future__ import annotations

from typing import Any

import sympy as sp
from sympy.matrices.expressions.matexpr import MatrixExpr


class Where(sp.Expr):
    """``torch.where(condition, value, otherwise)`` on real scalars."""

    is_real = True
    is_commutative = True

    def __new__(cls, condition: Any, value: Any, otherwise: Any) -> Where:
        return sp.Expr.__new__(cls, sp.sympify(condition), sp.sympify(value), sp.sympify(otherwise))


class Fused(sp.Expr):
    """A result whose sums of products are written with fused torch operations; all its symbols are tensors."""

    is_commutative = True

    def __new__(cls, expression: Any) -> Fused:
        return sp.Expr.__new__(cls, sp.sympify(expression))

    def _sympystr(self, printer: Any) -> str:
        return str(printer._print(self.args[0]))


class _Solve(MatrixExpr):
    """Solution X of a linear system with the square matrix ``args[0]`` and right-hand side ``args[1]``."""

    def __new__(cls, matrix: MatrixExpr, right_hand_side: MatrixExpr) -> _Solve:
        return MatrixExpr.__new__(cls, matrix, right_hand_side)

    @property
    def shape(self) -> tuple[sp.Expr, sp.Expr]:
        return self.args[1].shape


class SolveLeft(_Solve):
    """X with A X = B, that is A⁻¹ B, without the inverse."""


class SolveRight(_Solve):
    """X with X A = B, that is B A⁻¹, without the inverse."""
