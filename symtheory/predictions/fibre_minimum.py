"""The smallest value of a function on the fibre {θ : φ(θ) = w}, in closed form for tori.

In weight coordinates p the group acts by p_i ↦ e^{ω_i t} p_i. There f is a sum of monomials and convex along every
orbit in t, so that it has one stationary point, and the conditions for it are linear: in the values of the monomials
first (stationarity), in the logarithms of p afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy as sp

from symtheory.errors import DerivationError
from symtheory.graph.elementwise import ElementwiseModel
from symtheory.predictions.symbols import PREDICTOR
from symtheory.symmetry.solutions import nullspace
from symtheory.symmetry.weight_coordinates import WeightCoordinates, weight_coordinates

POSITIVE = sp.Symbol("w", positive=True)


@dataclass(frozen=True)
class FibreMinimum:
    """value: min f over the fibre, in w > 0; point: the minimiser θ(w) for w > 0, by coordinate;
    symmetric: whether sign flips of parameters carry the answer to w < 0, with |w| in place of w;
    stated_for: the values of w in words, where they are other ones than these.
    """

    value: sp.Expr
    point: dict[sp.Symbol, sp.Expr]
    symmetric: bool
    stated_for: str = ""

    @property
    def domain(self) -> str:
        """In words, where ``value_everywhere`` holds."""
        return self.stated_for or ("every real w" if self.symmetric else "w > 0 (w takes no negative value)")

    @property
    def value_everywhere(self) -> sp.Expr:
        """The minimum as a function of a real w, where that is allowed."""
        return self.value.subs(POSITIVE, sp.Abs(PREDICTOR) if self.symmetric else PREDICTOR)

    @property
    def slope_everywhere(self) -> sp.Expr:
        """Its derivative in w, away from w = 0."""
        slope = sp.diff(self.value, POSITIVE)
        if not self.symmetric:
            return slope.subs(POSITIVE, PREDICTOR)
        return sp.sign(PREDICTOR) * slope.subs(POSITIVE, sp.Abs(PREDICTOR))


def fibre_minimum(model: ElementwiseModel, objective: sp.Expr) -> FibreMinimum:
    """min f(θ) over φ(θ) = w. Raises ``DerivationError`` when φ is no monomial of weight coordinates, is positive
    nowhere, or f is no positive sum of even monomials in them whose stationarity conditions fix it.
    """
    weights = weight_coordinates(model)
    to_weights = dict(zip(model.coordinates, weights.inverse, strict=True))
    predictor = _monomials(model.predictor, to_weights, weights)
    terms = _monomials(objective, to_weights, weights)
    if len(predictor) != 1:
        raise DerivationError(f"w = {model.predictor} is no monomial of weight coordinates: no closed fibre minimum")
    # Even monomials do not see the signs of p, so that the orthant p > 0 tells all.
    if any(not coefficient.is_positive or any(e % 2 for e in exponents) for exponents, coefficient in terms):
        raise DerivationError(f"{objective} is no positive sum of squares of weight coordinates: no closed minimum")
    exponents, coefficient = predictor[0]
    flippable = [index for index, exponent in enumerate(exponents) if exponent % 2]
    if coefficient.is_negative and not flippable:
        raise DerivationError(f"w = {model.predictor} is never positive: declare its negative")
    values = _stationary_values(terms, weights)
    logarithms = _solve_logarithms(terms, (exponents, sp.Abs(coefficient)), values)
    at_minimum = dict(zip(weights.symbols, logarithms[:-1], strict=True))
    if coefficient.is_negative:
        at_minimum[weights.symbols[flippable[-1]]] *= -1
    point = {symbol: form.subs(at_minimum) for symbol, form in to_weights.items()}
    return FibreMinimum(sp.powsimp(logarithms[-1] * sp.Add(*values)), point, bool(flippable))


Monomial = tuple[tuple[sp.Integer, ...], sp.Expr]


def _monomials(expression: sp.Expr, to_weights: dict[sp.Symbol, sp.Expr], weights: WeightCoordinates) -> list[Monomial]:
    """(exponents, coefficient) of each term in weight coordinates; ``DerivationError`` when it is no polynomial."""
    expanded = sp.expand(expression.subs(to_weights, simultaneous=True))
    if not expanded.is_polynomial(*weights.symbols):
        raise DerivationError(f"{expression} is no polynomial in the parameters: no closed minimum over a fibre")
    return [
        (tuple(map(sp.Integer, exponents)), coefficient)
        for exponents, coefficient in sp.Poly(expanded, *weights.symbols).terms()
    ]


def _stationary_values(terms: list[Monomial], weights: WeightCoordinates) -> list[sp.Expr]:
    """Ratios n_i of the monomials at the stationary point: Σ_i (ω_a · m_i) n_i = 0 for every generator a."""
    rows = [
        [sum((omega * e for omega, e in zip(weight, exponents, strict=True)), sp.Integer(0)) for exponents, _ in terms]
        for weight in weights.weights
    ]
    solutions = nullspace(rows, len(terms))
    if len(solutions) != 1 or any(value <= 0 for value in solutions[0]):
        raise DerivationError("stationarity on the fibre leaves the monomials undetermined: no closed fibre minimum")
    return list(solutions[0])


def _solve_logarithms(terms: list[Monomial], predictor: Monomial, values: list[sp.Expr]) -> list[sp.Expr]:
    """p_1 … p_k and κ with c_i p^{m_i} = κ n_i and c p^m = w: linear in the logarithms."""
    rows = [[*exponents, sp.Integer(-1)] for exponents, _ in terms] + [[*predictor[0], sp.Integer(0)]]
    right = [value / coefficient for (_, coefficient), value in zip(terms, values, strict=True)]
    right.append(POSITIVE / predictor[1])
    matrix = sp.Matrix(rows)
    normal = matrix.T * matrix
    if normal.det() == 0:
        raise DerivationError("the fibre minimum is not attained at one point: no closed form")
    left_inverse = normal.inv() * matrix.T
    solution = [
        sp.Mul(*(base**exponent for base, exponent in zip(right, left_inverse.row(row), strict=True)))
        for row in range(matrix.shape[1])
    ]
    for row, base in zip(rows, right, strict=True):
        image = sp.Mul(*(entry**exponent for entry, exponent in zip(solution, row, strict=True)))
        if sp.powsimp(image / base, force=True) != 1:
            raise DerivationError("the stationarity conditions on the fibre contradict each other")
    return [sp.powsimp(entry) for entry in solution]
