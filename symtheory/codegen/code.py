"""Python source that knows how tightly it binds, so that parentheses appear only where needed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum


class Level(IntEnum):
    """Python's operator precedence, loosest first."""

    COMPARISON = 0
    OR = 1
    AND = 2
    SUM = 3
    PRODUCT = 4
    UNARY = 5
    POWER = 6
    ATOM = 7


@dataclass(frozen=True)
class Code:
    """Source text and the level of its outermost operator."""

    text: str
    level: Level = Level.ATOM

    def __str__(self) -> str:
        return self.text

    def at_least(self, level: Level) -> str:
        """The text, in parentheses when it binds more loosely than ``level``."""
        return self.text if self.level >= level else f"({self.text})"

    def negated(self) -> Code:
        """The text with a minus sign in front; a power gets parentheses, so that no reader must think."""
        if self.level == Level.PRODUCT:
            return Code(f"-{_parenthesize_leading_power(self.text)}", Level.PRODUCT)
        return Code(f"-{self.at_least(Level.ATOM)}", Level.UNARY)


def join_sum(terms: list[tuple[bool, Code]]) -> Code:
    """Sum of terms, each with a mark that says whether it is subtracted; a term that is added comes first."""
    first = next((index for index, (negative, _) in enumerate(terms) if not negative), 0)
    ordered = [terms[first], *terms[:first], *terms[first + 1 :]]
    negative, leading = ordered[0]
    text = leading.negated().text if negative else leading.at_least(Level.SUM)
    for negative, term in ordered[1:]:
        text += (" - " if negative else " + ") + term.at_least(Level.PRODUCT)
    return Code(text, Level.SUM)


def join_product(numerator: list[Code], denominator: list[Code], operator: str = "*") -> Code:
    """Product of the numerators over the product of the denominators."""
    if len(numerator) == 1 and not denominator:
        return numerator[0]
    text = f" {operator} ".join(factor.at_least(Level.UNARY) for factor in numerator) or "1"
    if len(denominator) == 1:
        text += " / " + denominator[0].at_least(Level.UNARY)
    elif denominator:
        text += " / (" + " * ".join(factor.at_least(Level.UNARY) for factor in denominator) + ")"
    return Code(text, Level.PRODUCT)


def power(base: Code, exponent: Code) -> Code:
    """Base to an exponent; hugged (``u**2``) when both are names or numbers, spaced otherwise."""
    left, right = base.at_least(Level.ATOM), exponent.at_least(Level.UNARY)
    simple = re.fullmatch(r"[\w.]+", left) and re.fullmatch(r"-?[\w.]+", right)
    return Code(f"{left}**{right}" if simple else f"{left} ** {right}", Level.POWER)


def call(function: str, *arguments: str) -> Code:
    """A call with positional arguments."""
    return Code(f"{function}({', '.join(arguments)})")


def _parenthesize_leading_power(text: str) -> str:
    leading = re.match(r"[\w.]+\*\*-?[\w.]+", text)
    return f"({leading.group()}){text[leading.end() :]}" if leading else text
