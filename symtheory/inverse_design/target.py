"""The bias that is wanted, as a function of one number w."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import sympy as sp

from symtheory.errors import DeclarationError
from symtheory.inverse_design.parse import parse_target
from symtheory.predictions.symbols import PREDICTOR

SIZE = sp.Symbol("w", positive=True)
"""w > 0, on which a target is looked at first."""

PROBES = tuple(sp.Rational(numerator, 8) for numerator in (1, 3, 7, 12, 23))


@dataclass(frozen=True)
class Target:
    """R(w), or Q(w) for a mirror potential; expression: in the real symbol w."""

    expression: sp.Expr

    @classmethod
    def of(cls, target: object) -> Target:
        """From text or from a SymPy expression of one symbol called w.

        Raises ``DeclarationError`` for anything else, and for a target that does not depend on w or is not real.
        """
        expression = parse_target(target) if isinstance(target, str) else target
        if not isinstance(expression, sp.Expr):
            raise DeclarationError(f"a target is a SymPy expression of w or its text, not {type(target).__name__}")
        unknown = sorted(str(symbol) for symbol in expression.free_symbols if str(symbol) != PREDICTOR.name)
        if unknown:
            raise DeclarationError(f"the symbol '{unknown[0]}' is unknown: a target is a function of w alone")
        named = dict.fromkeys(expression.free_symbols, PREDICTOR)
        found = cls(sp.nsimplify(expression.subs(named), rational=True))
        if not found.expression.has(PREDICTOR):
            raise DeclarationError(f"the target {found.expression} does not depend on w")
        if not all(_is_real(found.positive.subs(SIZE, probe)) for probe in PROBES):
            raise DeclarationError(f"the target {found.expression} is not a real number for some w > 0")
        return found

    @cached_property
    def positive(self) -> sp.Expr:
        """The target for w > 0, in ``SIZE``."""
        return self.expression.subs(PREDICTOR, SIZE)

    @cached_property
    def negative(self) -> sp.Expr:
        """The target at −w for w > 0, in ``SIZE``."""
        return self.expression.subs(PREDICTOR, -SIZE)

    @cached_property
    def is_even(self) -> bool:
        """Whether w and −w are the same to it."""
        return bool(sp.simplify(self.positive - self.negative) == 0)

    @cached_property
    def has_negative_side(self) -> bool:
        """Whether it is a real number for w < 0."""
        return all(_is_real(self.negative.subs(SIZE, probe)) for probe in PROBES)


def _is_real(value: sp.Expr) -> bool:
    number = sp.sympify(value).evalf()
    return bool(number.is_number and number.is_finite and sp.im(number) == 0)
