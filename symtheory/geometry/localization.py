"""Fractions whose denominators are products of a few known polynomials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sympy as sp

# Above this many terms a determinant is kept as one factor: factoring it would cost more than it shortens.
FACTORED_TERMS = 40


@dataclass(frozen=True)
class Factored:
    """A polynomial with its factors: polynomial = constant · Π factor**power."""

    polynomial: Any
    constant: sp.Rational
    powers: Mapping[Any, int]


def factored(polynomial: Any) -> Factored:
    """Factor an element of a polynomial ring over the rationals or integers."""
    if len(polynomial) > FACTORED_TERMS:
        content, primitive = polynomial.primitive()
        return Factored(polynomial, _number(content), {primitive: 1})
    constant, factors = polynomial.factor_list()
    return Factored(polynomial, _number(constant), dict(factors))


def localized_expression(numerator: Any, powers: Mapping[Any, int], scale: sp.Rational) -> sp.Expr:
    """scale · numerator / Π factor**power as an expression, reduced by trial division; powers may be negative."""
    remaining = {}
    for factor, power in powers.items():
        if power < 0:
            numerator = numerator * factor ** (-power)
            continue
        while power > 0:
            quotient, remainder = numerator.div(factor)
            if remainder:
                break
            numerator, power = quotient, power - 1
        if power:
            remaining[factor] = power
    content, primitive = numerator.primitive()
    inverse = [sp.Pow(factor.as_expr(), -power) for factor, power in remaining.items()]
    return sp.Mul(scale * _number(content), primitive.as_expr(), *inverse)


def _number(value: Any) -> sp.Rational:
    return sp.Rational(int(value.numerator), int(value.denominator))
