"""A function of one parameter on a branch where it is monotone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import sympy as sp

from symtheory.errors import DerivationError
from symtheory.predictions.inversion import closed_inverse

HALF = tuple(sp.Rational(numerator, 16) for numerator in (3, 7, 13, 21))
"""Points on which a branch over θ > 0 is tried."""

WHOLE = (*HALF, *(-point for point in HALF))

Parity = Literal["even", "odd", "none"]


@dataclass(frozen=True)
class Branch:
    """a = ψ(x), monotone on the branch: x > 0 where ψ is even or odd, all real x elsewhere.

    expression: ψ in ``variable`` (positive or real, as the branch is); parity: of ψ; is_rising: whether ψ increases;
    inverse: x in ``image``.
    """

    expression: sp.Expr
    variable: sp.Symbol
    parity: Parity
    is_rising: bool
    inverse: sp.Expr
    image: sp.Symbol

    @cached_property
    def lowest(self) -> sp.Expr:
        """The infimum of ψ on the branch, attained (at x = 0) where ψ is even or odd and increases."""
        return self._ends[0]

    @cached_property
    def highest(self) -> sp.Expr:
        """The supremum of ψ on the branch."""
        return self._ends[1]

    @cached_property
    def _ends(self) -> list[sp.Expr]:
        start, side = (-sp.oo, "-") if self.parity == "none" else (sp.Integer(0), "+")
        limits = [sp.limit(self.expression, self.variable, *end) for end in ((start, side), (sp.oo, "-"))]
        return limits if self.is_rising else limits[::-1]

    def at(self, objective: sp.Expr, parameter: sp.Symbol) -> sp.Expr:
        """An objective in the parameter as a function f(a) of ``image``; ``DerivationError`` unless both signs of x
        give the same where both belong to one a or to ±a."""
        if self.parity != "none" and _parity(objective, parameter) != "even":
            raise DerivationError(f"{objective} is not even: no minimum over a fibre of two signs in closed form")
        on_branch = objective.subs(parameter, self.variable)
        return sp.simplify(sp.powdenest(sp.powsimp(on_branch.subs(self.variable, self.inverse)), force=True))


def branch_of(expression: sp.Expr, parameter: sp.Symbol) -> Branch:
    """ψ on its branch. Raises ``DerivationError`` where it is not monotone there, or has no closed inverse."""
    parity = _parity(expression, parameter)
    variable = sp.Dummy(str(parameter), **({"real": True} if parity == "none" else {"positive": True}))
    on_branch = sp.simplify(expression.subs(parameter, variable))
    slope = sp.diff(on_branch, variable)
    is_rising = is_nonnegative(slope)
    if not is_rising and not is_nonnegative(-slope):
        raise DerivationError(f"{expression} is not seen to be monotone: no closed minimum over its fibres")
    image = sp.Dummy("a", **({"real": True} if parity == "none" else {"positive": True}))
    inverse = closed_inverse(on_branch, variable, image, WHOLE if parity == "none" else HALF)
    if inverse is None:
        raise DerivationError(f"w = {expression} has no closed inverse: no closed minimum over its fibres")
    return Branch(on_branch, variable, parity, is_rising, inverse, image)


def is_nonnegative(expression: sp.Expr) -> bool:
    """Whether SymPy sees that an expression is nowhere negative, as a product, after simplification, or with
    exp(p) = 1 + e, e > 0, for p > 0."""
    for rewritten in (lambda: sp.factor(expression), lambda: sp.simplify(expression.rewrite(sp.exp))):
        value = rewritten()
        excess = {power: 1 + sp.Dummy("e", positive=True) for power in value.atoms(sp.exp) if power.args[0].is_positive}
        if value.is_nonnegative or sp.factor(value.subs(excess)).is_nonnegative:
            return True
    return False


def _parity(expression: sp.Expr, parameter: sp.Symbol) -> Parity:
    mirrored = expression.subs(parameter, -parameter)
    if sp.expand(mirrored - expression) == 0:
        return "even"
    return "odd" if sp.expand(mirrored + expression) == 0 else "none"
