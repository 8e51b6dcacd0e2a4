"""Minima over fibres of one function of one parameter, and of the difference of two copies of it.

One copy: the fibre is a point, or two with opposite signs. Two copies, w = ψ(x) − ψ(y): with f the objective of one
copy as a function of a = ψ(x), what is minimised is f(a) + f(b) over a − b = w, which has its minimum where one copy
is at rest, or where both share w alike; which one follows from the signs of f' and f''.
"""

from __future__ import annotations

import sympy as sp

from symtheory.errors import DerivationError
from symtheory.graph.elementwise import ElementwiseModel
from symtheory.predictions.branch import Branch, branch_of, is_nonnegative
from symtheory.predictions.fibre_minimum import POSITIVE, FibreMinimum


def separable_minimum(model: ElementwiseModel, objective: sp.Expr) -> FibreMinimum:
    """min f(θ) over φ(θ) = w for φ = ψ(x), or ψ(x) − ψ(y).

    Raises ``DerivationError`` where φ is neither, where ψ is not monotone or has no closed inverse, and where the
    minimum is not attained or cannot be told.
    """
    parts = separable_parts(model.predictor, model.coordinates)
    if len(parts) == 1:
        ((parameter, part),) = parts.items()
        return _one_copy(branch_of(part, parameter), parameter, objective)
    if len(parts) == 2:
        return _two_copies(parts, objective)
    raise DerivationError(f"w = {model.predictor} is a sum of {len(parts)} functions: no closed minimum over a fibre")


def separable_parts(predictor: sp.Expr, coordinates: tuple[sp.Symbol, ...]) -> dict[sp.Symbol, sp.Expr]:
    """Coordinate → its own summand of φ; a constant joins the first one. ``DerivationError`` where they mix."""
    parts = dict.fromkeys(coordinates, sp.Integer(0))
    for term in sp.Add.make_args(sp.expand(predictor)):
        owners = [symbol for symbol in coordinates if term.has(symbol)]
        if len(owners) > 1:
            raise DerivationError(f"w = {predictor} is no sum of functions of one parameter each")
        parts[owners[0] if owners else coordinates[0]] += term
    return parts


def _one_copy(branch: Branch, parameter: sp.Symbol, objective: sp.Expr) -> FibreMinimum:
    if branch.highest.is_nonpositive:
        raise DerivationError(
            f"w = {branch.expression.subs(branch.variable, parameter)} is never positive: declare its negative"
        )
    value = branch.at(objective, parameter).subs(branch.image, POSITIVE)
    point = {parameter: branch.inverse.subs(branch.image, POSITIVE)}
    return FibreMinimum(value, point, branch.parity == "odd", _domain(branch))


def _domain(branch: Branch) -> str:
    """The values of w in words."""
    low, high = branch.lowest, branch.highest
    if branch.parity == "odd":
        return "every real w" if high == sp.oo else f"|w| < {high}"
    below = "" if low == -sp.oo else f"w > {low}"
    above = "" if high == sp.oo else f"w < {high}"
    return " and ".join(filter(None, (below, above))) or "every real w"


def _two_copies(parts: dict[sp.Symbol, sp.Expr], objective: sp.Expr) -> FibreMinimum:
    """φ = ψ(x) − ψ(y), or ψ(x) + ψ(y) for an odd ψ, the objective the same of both."""
    x, y, branch, sign = _copies(parts)
    own = separable_parts(objective, (x, y))
    constant = own[x].as_independent(x, as_Add=True)[0] / 2  # one half for each copy
    own = {x: own[x] - constant, y: own[y] + constant}
    if sp.expand(own[x].subs(x, y) - own[y]) != 0:
        raise DerivationError(f"{objective} is not the same of {x} as of {y}: no closed minimum over a fibre")
    cost = branch.at(own[x], x)
    if not is_nonnegative(sp.diff(cost, branch.image)):
        raise DerivationError(f"{own[x]} is not seen to grow with {parts[x]}: no closed minimum over a fibre")
    larger, smaller = _shares(branch, cost)
    value = sp.simplify(_at(cost, branch, larger) + _at(cost, branch, smaller))
    second = _at(branch.inverse, branch, smaller)
    point = {x: _at(branch.inverse, branch, larger), y: second if branch.parity == "even" else -sign * second}
    domain = "every real w" if branch.highest == sp.oo else f"|w| < {branch.highest - branch.lowest}"
    return FibreMinimum(value, point, True, domain)


def _copies(parts: dict[sp.Symbol, sp.Expr]) -> tuple[sp.Symbol, sp.Symbol, Branch, int]:
    """x, y, ψ and s with φ = ψ(x) − s ψ(y), ψ increasing; s = −1 for odd functions only."""
    reason = f"w = {sp.Add(*parts.values())} is no difference of two copies of one function"
    for x, y in (tuple(parts), tuple(parts)[::-1]):
        copy = parts[x].subs(x, y)
        signs = [sign for sign in (1, -1) if sp.expand(parts[y] + sign * copy) == 0]
        if not signs:
            continue
        try:
            branch = branch_of(parts[x], x)
        except DerivationError as error:
            reason = str(error)
            continue
        if branch.parity == "none":
            raise DerivationError(f"{parts[x]} has no smallest value, so that none need be attained on a − b = w")
        if not branch.is_rising:
            reason = f"{parts[x]} decreases"
        elif signs[0] == 1 or branch.parity == "odd":
            return x, y, branch, signs[0]
    raise DerivationError(f"{reason}: no closed minimum over a fibre")


def _shares(branch: Branch, cost: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    """The values of |a| and |b| at the minimum, for w > 0.

    ψ even: a − b = w with a, b ≥ ψ(0). Both grow together, so that the smaller one rests at ψ(0). ψ odd: a and b have
    opposite signs at the minimum, |a| + |b| = w; f concave rests one of them, f convex shares w.
    """
    if branch.parity == "even":
        return POSITIVE + branch.lowest, branch.lowest
    curvature = sp.diff(cost, branch.image, 2)
    if is_nonnegative(-curvature):
        return POSITIVE, sp.Integer(0)
    if is_nonnegative(curvature):
        return POSITIVE / 2, POSITIVE / 2
    raise DerivationError(f"{cost} is neither convex nor concave: no closed minimum over a fibre")


def _at(expression: sp.Expr, branch: Branch, value: sp.Expr) -> sp.Expr:
    """At a value of ψ, also at its end."""
    if value == branch.lowest:
        return sp.limit(expression, branch.image, value, "+")
    return expression.subs(branch.image, value)
