"""Gradient descent at the edge of stability along several critical directions at once.

x: positions along them; Y: their Hessian less 2/η; −∇L·∇S_ij = α_ij drives Y, the Gram matrix ⟨∇S_ij, ∇S_kl⟩ = β_ijkl
tells how an oscillation bends it. A pair {i, j} stands for ij and ji, and counts twice where i ≠ j. Derived here; for
one direction it is ``normal_form``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import combinations_with_replacement

import sympy as sp

from symtheory.matrix_calculus.polynomial import identity, letter
from symtheory.matrix_calculus.symbols import SymmetricSymbol
from symtheory.predictions.equation import equation
from symtheory.predictions.normal_form import SHARPENING
from symtheory.predictions.stationary_second_moments import (
    CURVATURE,
    MOMENTUM,
    OTHER,
    moment_factor,
    with_positive_factors,
)
from symtheory.predictions.stochastic_map import StochasticMap
from symtheory.predictions.symbols import ETA

SPREAD = sp.Symbol("V_k", nonnegative=True)
"""E ⟨xxᵀ − X, β[xxᵀ − X]⟩."""

MIXED = sp.Symbol("M_k", nonnegative=True)
"""E |Yx|²."""

NOISE = sp.Symbol("N", nonnegative=True)
"""tr C, with the covariance C of the batch gradient along the directions."""

DRIFT_NOISE = sp.Symbol("N_s", nonnegative=True)
"""tr(β⁺ C_s), with the covariance C_s of ∇S_ij·g."""

OUTSIDE_NOISE = sp.Symbol("sigma_h", positive=True)
"""Standard deviation of the batch gradient along a direction of curvature h that is not critical."""

BENDING = sp.Symbol("chi", real=True)
"""⟨∇S, ∇h⟩."""

_ORDER = sp.Symbol("epsilon", positive=True)
_DRIFT_SCALE = sp.Symbol("r", positive=True)

Pair = tuple[int, int]


@dataclass(frozen=True)
class Directions:
    """The symbols of k critical directions; pairs: (i, j) with i ≤ j, counted from one."""

    size: int

    @property
    def pairs(self) -> list[Pair]:
        return list(combinations_with_replacement(range(1, self.size + 1), 2))

    @property
    def positions(self) -> list[sp.Symbol]:
        return [sp.Symbol(f"x_{i}", real=True) for i in range(1, self.size + 1)]

    @property
    def distances(self) -> list[sp.Symbol]:
        """Y."""
        return self._of_pairs("y")

    @property
    def displacements(self) -> list[sp.Symbol]:
        """z with Y = β[z]: what lies along ∇S_ij."""
        return self._of_pairs("z")

    @property
    def drives(self) -> list[sp.Symbol]:
        """α."""
        return self._of_pairs("alpha")

    @property
    def amplitudes(self) -> list[sp.Symbol]:
        """X with α = ½β[X]."""
        return self._of_pairs("X")

    @property
    def gram(self) -> sp.Matrix:
        """β by pairs (p, p), symmetric."""
        names = [f"{i}{j}" for i, j in self.pairs]
        count = len(names)
        return sp.Matrix(count, count, lambda a, b: sp.Symbol(f"beta_{names[min(a, b)]}_{names[max(a, b)]}", real=True))

    @property
    def multiplicity(self) -> sp.Matrix:
        """Diagonal (p, p): how many entries of a symmetric matrix a pair stands for."""
        return sp.diag(*(1 if i == j else 2 for i, j in self.pairs))

    @property
    def noise(self) -> list[sp.Symbol]:
        """Independent standard normal draws ξ."""
        return [sp.Symbol(f"xi_{i}", real=True) for i in range(1, self.size + 1)]

    @property
    def noise_root(self) -> sp.Matrix:
        """R (k, k), lower triangular, C = RRᵀ."""
        return sp.Matrix(self.size, self.size, lambda i, j: sp.Symbol(f"R_{i + 1}{j + 1}", real=True) if j <= i else 0)

    @property
    def squares(self) -> list[sp.Expr]:
        """xxᵀ by pairs."""
        return [self.positions[i - 1] * self.positions[j - 1] for i, j in self.pairs]

    def matrix(self, entries: Iterable[sp.Expr]) -> sp.Matrix:
        """The symmetric matrix (k, k) with these entries by pairs."""
        table = dict(zip(self.pairs, entries, strict=True))
        return sp.Matrix(self.size, self.size, lambda i, j: table[min(i, j) + 1, max(i, j) + 1])

    def _of_pairs(self, name: str) -> list[sp.Symbol]:
        return [sp.Symbol(f"{name}_{i}{j}", real=True) for i, j in self.pairs]


def taylor_loss(directions: Directions) -> sp.Expr:
    """L around a point of the edge, to third order in x and in Y, with free coefficients.

    Fixed are what the names say: along x no slope and the Hessian 2/η + Y, to first order in Y. The slope along Y is
    left to ``directions_map``. What is of fourth order does not come into a step to leading order.
    """
    x, y = directions.positions, directions.distances
    curved = sp.eye(directions.size) * 2 / ETA + directions.matrix(y)
    loss = (sp.Matrix(x).T * curved * sp.Matrix(x))[0] / 2
    for total in (2, 3):
        for number, monomial in enumerate(sp.itermonomials([*x, *y], total, total)):
            in_x = sp.Poly(monomial, *x).total_degree()
            # Of one of x and one of y: none, x are eigenvectors. Of two of x: the Hessian, which is y.
            if in_x == 2 or (in_x, total) == (1, 2):
                continue
            straight = {(0, 2): 2, (0, 3): 1}.get((in_x, total), 0)
            loss += sp.Symbol(f"L_{total}_{number}", real=True) * _ORDER**straight * monomial
    return sp.expand(loss)


@cache
def directions_map(size: int) -> StochasticMap:
    """x' = −(I + ηY)x + ηRξ, Y' = Y + η(α − ½β[xxᵀ]), by components: the step of SGD on ``taylor_loss``.

    Orders in ε as for one direction: x and Y of order ε, α and ηR and the curvature along Y of order ε², the third
    derivative along Y of order ε. A gradient ∇L moves Y by −ηβ ∂L/∂Y, and by ηα through the slope of the floor. A
    quadratic term of x' that is even in x, or of Y' that is odd, cancels over two steps: with x ↦ −x the coordinate
    shift κm turns the coefficient q of a monomial m into q + κ(sign of m − sign of the component), which can be made
    to vanish where the two signs differ.
    """
    symbols = Directions(size)
    x, y = symbols.positions, symbols.distances
    loss = taylor_loss(symbols)
    bent = symbols.gram * sp.Matrix([sp.diff(loss, symbol) for symbol in y])
    noise = symbols.noise_root * sp.Matrix(symbols.noise)
    update: dict[sp.Symbol, sp.Expr] = {}
    for symbol, kick in zip(x, noise, strict=True):
        step = symbol - ETA * sp.diff(loss, symbol)
        update[symbol] = _without_cancelling(step, symbols, sign=-1) + ETA * kick
    for symbol, pull, drive in zip(y, bent, symbols.drives, strict=True):
        update[symbol] = _without_cancelling(symbol - ETA * pull, symbols, sign=1) + ETA * drive
    return StochasticMap(update, tuple(symbols.noise))


def _without_cancelling(step: sp.Expr, symbols: Directions, *, sign: int) -> sp.Expr:
    """The terms of first and second order in ε whose sign under x ↦ −x is the component's own.

    x and Y count as ε each, beside the explicit powers.
    """
    variables = [*symbols.positions, *symbols.distances]
    total = sp.Integer(0)
    for (explicit, *powers), coefficient in sp.Poly(step, _ORDER, *variables).terms():
        if explicit + sum(powers) <= 2 and (-1) ** sum(powers[: symbols.size]) == sign:
            total += coefficient * sp.Mul(*(symbol**power for symbol, power in zip(variables, powers, strict=True)))
    return sp.expand(total)


@cache
def energy_map(size: int) -> StochasticMap:
    """``directions_map`` in z with Y = β[z] and X with α = ½β[X], and noise of ∇S_ij·g: z' = z + ½η(X − xxᵀ) + ηrζ.

    Raises ``ValueError`` where z does not turn the derived map into this one.
    """
    symbols = Directions(size)
    bending = symbols.gram * symbols.multiplicity
    z, amplitudes = sp.Matrix(symbols.displacements), sp.Matrix(symbols.amplitudes)
    change = [sp.Rational(1, 2) * ETA * (a - square) for a, square in zip(amplitudes, symbols.squares, strict=True)]
    known = dict(zip(symbols.distances, bending * z, strict=True))
    known |= dict(zip(symbols.drives, bending * amplitudes / 2, strict=True))
    derived = {symbol: value.subs(known) for symbol, value in directions_map(size).update.items()}
    moved = sp.Matrix([derived[y] - known[y] for y in symbols.distances]) - bending * sp.Matrix(change)
    if any(sp.expand(entry) != 0 for entry in moved):
        raise ValueError("the displacements along ∇S_ij do not follow the derived map")
    drift_noise = [sp.Symbol(f"zeta_{i}{j}", real=True) for i, j in symbols.pairs]
    update = {x: derived[x] for x in symbols.positions}
    for symbol, step, draw in zip(symbols.displacements, change, drift_noise, strict=True):
        update[symbol] = symbol + step + ETA * _DRIFT_SCALE * draw
    return StochasticMap(update, (*symbols.noise, *drift_noise))


@cache
def weighted_gap() -> sp.Expr:
    """tr(ΓX) with Γ = −E Y and X = E xxᵀ, exact in the normal form: the stationary mean of the change of an energy.

    In ½|x|² + ⟨Y, z⟩ the unknown E xᵀYx drops out. What is left of its mean change is matched, for two directions,
    with |Yx|², tr C, ⟨xxᵀ − X, β[xxᵀ − X]⟩ and tr(β⁺ C_s).
    """
    symbols = Directions(2)
    weight, z = symbols.multiplicity, sp.Matrix(symbols.displacements)
    bending = weight * symbols.gram * weight
    x, amplitudes = sp.Matrix(symbols.positions), sp.Matrix(symbols.amplitudes)
    distance = symbols.matrix(symbols.gram * weight * z)
    energy = (x.T * x)[0] / 2 + (z.T * bending * z)[0]
    left = energy_map(2).mean_change(energy) / ETA - (z.T * bending * amplitudes)[0]
    excess = sp.Matrix(symbols.squares) - amplitudes
    root = symbols.noise_root
    meanings = {
        MIXED: (x.T * distance * distance * x)[0],
        NOISE: (root * root.T).trace(),
        SPREAD: (excess.T * bending * excess)[0],
        DRIFT_NOISE: _DRIFT_SCALE**2 * bending.trace(),
    }
    weights = dict(zip(meanings, sp.symbols("c_1:5"), strict=True))
    matched = sum((weights[name] * meaning for name, meaning in meanings.items()), sp.Integer(0))
    variables = sorted((left + matched).free_symbols - set(weights.values()) - {ETA}, key=str)
    (found,) = sp.linsolve(sp.Poly(sp.expand(left - matched), *variables).coeffs(), tuple(weights.values()))
    return sp.Add(*(sp.factor(c) * name for c, name in zip(found, meanings, strict=True)))


@cache
def normal_conditions() -> tuple[sp.Expr, ...]:
    """What has to vanish for the limiting law of two directions to be normal, where X is diagonal.

    As η → 0 at fixed ηC, x with its sign removed and z follow dx = Yx dt + noise, dz = ½(X − xxᵀ) dt. In the
    Fokker–Planck equation of exp(−½xᵀX⁻¹x − ½(z − m)ᵀK(z − m)) the terms of third order fix K, which has to be
    symmetric: β has to commute with Y ↦ X⁻¹Y + YX⁻¹. Then x and Y are independent and ΓX + XΓ = ηC holds.
    """
    symbols = Directions(2)
    x, z = sp.Matrix(symbols.positions), sp.Matrix(symbols.displacements)
    variances = [symbol for symbol, (i, j) in zip(symbols.amplitudes, symbols.pairs, strict=True) if i == j]
    distance = symbols.matrix(symbols.gram * symbols.multiplicity * z)
    flux = (x.T * sp.diag(*(1 / value for value in variances)) * distance * x)[0]
    rows = [
        [2 * sp.Poly(sp.expand(flux), *x, *z).coeff_monomial(square * symbol) for symbol in z]
        for square in symbols.squares
    ]
    precision = sp.Matrix(rows)
    unequal = precision - precision.T
    return tuple(sp.factor(unequal[a, b]) for a in range(3) for b in range(a + 1, 3))


@cache
def sharpening_left() -> sp.Expr:
    """α less what a direction w outside takes off it: ½ h w² adds −½χw² to −∇L·∇S, and noise keeps E w² up."""
    square = sp.Symbol("w", real=True) ** 2
    taken = -sp.diff(CURVATURE * square / 2, CURVATURE) * BENDING
    variance = OUTSIDE_NOISE**2 * with_positive_factors(moment_factor().subs({OTHER: CURVATURE, MOMENTUM: 0}))
    return SHARPENING + taken.subs(square, variance)


@cache
def oscillation_identity() -> sp.Eq:
    """−(YP + PY) − ηYPY = ηC in the stationary mean, with P = xxᵀ: exact in the normal form, for any k."""
    size = sp.Symbol("k", integer=True, positive=True)
    distance, noise, square = (SymmetricSymbol(name, size, size) for name in ("Y", "C", "P"))
    kept = identity(size) + letter(distance) * ETA
    lost = letter(square) - kept @ letter(square) @ kept.T
    return equation((lost * (1 / ETA)).expression(), ETA * noise)
