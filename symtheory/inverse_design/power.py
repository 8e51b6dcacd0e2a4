"""Targets that are powers, and the products of parameters that have them as their bias."""

from __future__ import annotations

import sympy as sp

from symtheory.errors import DerivationError
from symtheory.inverse_design.target import SIZE, Target


def require_power(target: Target, what: str) -> tuple[sp.Expr, sp.Rational]:
    """(A, p) with target = A w^p for w > 0, A > 0 and rational p > 0; ``DerivationError`` for another target."""
    factor, rest = sp.powsimp(sp.expand(target.positive)).as_independent(SIZE)
    base, power = rest.as_base_exp()
    if base != SIZE or not (power.is_Rational and power > 0 and factor.is_positive):
        raise DerivationError(f"{what} has a power as its bias, and {target.expression} is none")
    return factor, power


def product_length(mechanism: str, power: sp.Rational, most: int) -> int:
    """L with w^(2/L) for weight decay, w^(2 − 2/L) for label noise; ``DerivationError`` where no L ≤ ``most`` does."""
    inverse = power / 2 if mechanism == "weight_decay" else 1 - power / 2
    length = 1 / inverse if inverse else sp.zoo
    if not (length.is_Integer and 1 <= length <= most):
        powers = "2/L" if mechanism == "weight_decay" else "2 − 2/L"
        raise DerivationError(
            f"a product of L factors has the power {powers} under {mechanism}, and no L ≤ {most} gives {power}"
        )
    return int(length)
