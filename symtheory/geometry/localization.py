"""Fractions whose denominators are products of a few known polynomials."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import flint
import sympy as sp

from symtheory.geometry.cofactors import adjugate_and_determinant
from symtheory.geometry.metric_blocks import connected_components

# Above this many terms factoring an expression with SymPy costs more than it shortens.
FACTORED_TERMS = 40

# FLINT factors faster by orders of magnitude; above this many terms a determinant is kept as one factor all the same.
RING_FACTORED_TERMS = 5_000


@dataclass(frozen=True)
class Factored:
    """A polynomial with its factors: polynomial = constant · Π factor**power."""

    polynomial: Any
    constant: sp.Rational
    powers: Mapping[Any, int]


def factored(polynomial: Any) -> Factored:
    """Factor an element of a polynomial ring over the rationals or integers."""
    if len(polynomial) > RING_FACTORED_TERMS:
        content, primitive = polynomial.primitive()
        return Factored(polynomial, _number(content), {primitive: 1})
    ring = polynomial.ring
    names = [f"x{place}" for place in range(ring.ngens)]
    context = flint.fmpq_mpoly_ctx.get(names, flint.Ordering.lex)
    terms = {exponents: flint.fmpq(int(c.numerator), int(c.denominator)) for exponents, c in polynomial.items()}
    constant, factors = context.from_dict(terms).factor()
    # FLINT's factors are primitive over the integers with a positive leading term, so equal ones compare equal.
    powers = {
        ring.from_dict({e: _ground(ring, c) for e, c in factor.to_dict().items()}): int(power)
        for factor, power in factors
    }
    return Factored(polynomial, _number(constant), powers)


@dataclass(frozen=True)
class Localized:
    """The fraction numerator / Π factor**power; the powers are positive and the factors come from `factored`.

    Sums and products extend the denominator and never look for common factors: `reduced` does, by trial division.
    """

    numerator: Any
    powers: Mapping[Any, int]

    def __bool__(self) -> bool:
        return bool(self.numerator)

    def __add__(self, other: Localized) -> Localized:
        if self.powers == other.powers:
            return Localized(self.numerator + other.numerator, self.powers)
        powers = common_powers((self, other))
        return Localized(self.over(powers) + other.over(powers), powers)

    def __mul__(self, other: Localized) -> Localized:
        if not self.powers or not other.powers:
            return Localized(self.numerator * other.numerator, self.powers or other.powers)
        powers = dict(self.powers)
        for factor, power in other.powers.items():
            powers[factor] = power + powers.get(factor, 0)
        return Localized(self.numerator * other.numerator, powers)

    def over(self, powers: Mapping[Any, int]) -> Any:
        """The numerator over a denominator that the own one divides."""
        numerator = self.numerator
        for factor, power in powers.items():
            missing = power - self.powers.get(factor, 0)
            if missing:
                numerator = numerator * factor**missing
        return numerator

    def reduced(self) -> Localized:
        """The same fraction in lowest terms, as far as the known factors reach."""
        return Localized(*_reduced(self.numerator, self.powers))

    def reciprocal(self) -> Localized:
        """1 over the fraction. Raises ZeroDivisionError for zero."""
        if not self.numerator:
            raise ZeroDivisionError("the reciprocal of zero")
        ring = self.numerator.ring
        divisor = factored(self.numerator)
        numerator = Localized(ring.domain_new(1 / divisor.constant) * ring.one, {}).over(self.powers)
        return Localized(numerator, divisor.powers)

    def diff(self, generator: Any) -> Localized:
        """The derivative in a generator of the ring."""
        terms = [Localized(self.numerator.diff(generator), self.powers)]
        for factor, power in self.powers.items():
            slope = -power * self.numerator * factor.diff(generator)
            terms.append(Localized(slope, {**self.powers, factor: power + 1}))
        return localized_sum(terms, self.numerator.ring)

    def as_expr(self) -> sp.Expr:
        """The fraction in lowest terms as an expression."""
        return localized_expression(self.numerator, self.powers, sp.S.One)


Rows = list[list[Localized]]


def common_powers(fractions: Iterable[Localized]) -> dict[Any, int]:
    """Powers of the least denominator that every one of the fractions can be written over."""
    powers: dict[Any, int] = {}
    for fraction in fractions:
        for factor, power in fraction.powers.items():
            powers[factor] = max(power, powers.get(factor, 0))
    return powers


def localized_sum(terms: Iterable[Localized], ring: Any) -> Localized:
    """The sum over one common denominator. Zeros are left out: they bring no factors with them."""
    nonzero = [term for term in terms if term]
    powers = common_powers(nonzero)
    return Localized(sum((term.over(powers) for term in nonzero), ring.zero), powers)


def over_common_denominator(rows: Rows) -> tuple[list[list[Any]], dict[Any, int]]:
    """Numerators of a matrix of fractions over one denominator, and that denominator."""
    powers = common_powers(entry for row in rows for entry in row)
    return [[entry.over(powers) for entry in row] for row in rows], powers


def inverse_matrix(rows: Rows) -> Rows:
    """adj(P) / det(P), block by block where a square matrix is block diagonal, in lowest terms.

    Raises ZeroDivisionError where a determinant is zero.
    """
    size, ring = range(len(rows)), rows[0][0].numerator.ring
    inverse = [[Localized(ring.zero, {})] * len(rows) for _ in size]
    for members in connected_components(len(rows), ((i, j) for i in size for j in size if rows[i][j])):
        numerators, powers = over_common_denominator([[rows[i][j] for j in members] for i in members])
        adjugate, determinant = adjugate_and_determinant(numerators, ring.one)
        scale = Localized(determinant, {}).reciprocal() * Localized(Localized(ring.one, {}).over(powers), {})
        for row, i in zip(adjugate, members, strict=True):
            for cofactor, j in zip(row, members, strict=True):
                inverse[i][j] = (Localized(cofactor, {}) * scale).reduced()
    return inverse


def localized_expression(numerator: Any, powers: Mapping[Any, int], scale: sp.Rational) -> sp.Expr:
    """scale · numerator / Π factor**power as an expression, reduced by trial division; powers may be negative."""
    for factor, power in powers.items():
        if power < 0:
            numerator = numerator * factor ** (-power)
    numerator, remaining = _reduced(numerator, powers)
    content, primitive = numerator.primitive()
    inverse = [sp.Pow(factor.as_expr(), -power) for factor, power in remaining.items()]
    return sp.Mul(scale * _number(content), primitive.as_expr(), *inverse)


def _reduced(numerator: Any, powers: Mapping[Any, int]) -> tuple[Any, dict[Any, int]]:
    """The numerator and the positive powers that are left after trial division by the factors."""
    remaining = {}
    for factor, power in powers.items():
        while power > 0:
            quotient, remainder = numerator.div(factor)
            if remainder:
                break
            numerator, power = quotient, power - 1
        if power > 0:
            remaining[factor] = power
    return numerator, remaining


def _ground(ring: Any, value: flint.fmpq) -> Any:
    return ring.domain.from_sympy(_number(value))


def _number(value: Any) -> sp.Rational:
    return sp.Rational(int(value.numerator), int(value.denominator))
