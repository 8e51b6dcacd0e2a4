"""A product of two matrices in the frame of its singular vectors, at the gauge that label noise settles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import sympy as sp

from symtheory.errors import DerivationError
from symtheory.matrix_calculus.polynomial import Letter, Polynomial, Word, letter
from symtheory.predictions.finite_step_covariance import BATCH, label_noise_variance
from symtheory.predictions.matrix_step import COLUMNS, INNER, ROWS, MatrixStep
from symtheory.predictions.noise_mean import noise_places
from symtheory.predictions.stationary_second_moments import CURVATURE, MOMENTUM
from symtheory.predictions.symbols import ETA

OWN, OTHER = sp.symbols("s_i s_j", positive=True)
"""Two singular values of W; zero beyond the rank."""

_WEIGHT = sp.Symbol("q", positive=True)


@dataclass(frozen=True)
class BalancedFrame:
    """W = U S Vᵀ with F₁ = U √(qS) and F₂ = √(S/q) Vᵀ, up to a rotation between them: all Gram matrices are diagonal.

    There every product of parameters multiplies entries of the frame by numbers. ``weight``: q, so that the mean
    change of the charge by label noise vanishes.
    """

    step: MatrixStep

    @cached_property
    def weight(self) -> sp.Expr:
        """q > 0 at which the noise leaves the charge alone."""
        drift = self.diagonal(self.step.charge_drift, OWN, _WEIGHT)
        solutions = [root for root in sp.solve(drift, _WEIGHT) if root.is_positive]
        if len(solutions) != 1:
            raise DerivationError("label noise settles no single gauge of this product")
        return solutions[0]

    @cached_property
    def kernel(self) -> sp.Expr:
        """Eigenvalue of L = JJᵀ on the entry i, j of the frame."""
        total = sp.S.Zero
        for word, coefficient in self.step.pull:
            place = next(p for p, factor in enumerate(word) if factor == Letter(self.step.error))
            total += coefficient * self._value(word[:place], OWN) * self._value(word[place + 1 :], OTHER)
        return sp.factor(total)

    @cached_property
    def induced(self) -> sp.Expr:
        """The mean change of a diagonal entry by noise, over η²σ²."""
        return self.diagonal(self.step.induced, OWN)

    @cached_property
    def variance(self) -> sp.Expr:
        """Variance of the entry i, j at a finite step to leading order in σ²: K times that of a parameter along it."""
        along = label_noise_variance().subs({BATCH: 1, MOMENTUM: 0}).subs(CURVATURE, self.kernel)
        numerator, denominator = sp.fraction(sp.factor(self.kernel * along))
        # Both signs turned where the denominator starts with −ηK: it is 2 − ηK.
        sign = -1 if denominator.subs(ETA, 0).is_negative else 1
        return sign * numerator / sp.expand(sign * denominator)

    @cached_property
    def shift(self) -> sp.Expr:
        """lim (E W_ii − Y_ii)/(ησ²) for a diagonal entry, in n, m, h and s_i.

        The mean of −L[W − Y] + T E Q vanishes. To order T it is −K_ii shift, the noise's own T E Q, and the mean of
        −δL[R]: R = L[X] the fluctuation, δL the change of L with it. X_ij are independent, of variance T/(2K_ij).
        """
        variance = 1 / (2 * self.kernel)
        back = variance.subs({OWN: OTHER, OTHER: OWN}, simultaneous=True)
        own, row, column = sp.S.Zero, sp.S.Zero, sp.S.Zero
        for is_own, is_row, weight in self._bent():
            if is_own:
                own += weight.subs(OTHER, OWN) * variance.subs(OTHER, OWN)
                continue
            row += weight * back if is_row else 0
            column += 0 if is_row else weight * variance
        own += (row + column).subs(OTHER, OWN)
        pair = sp.cancel(row + column)
        if pair.has(OTHER):
            raise DerivationError("the mean depends on all singular values at once")
        outside = (ROWS - INNER) * row.subs(OTHER, 0) + (COLUMNS - INNER) * column.subs(OTHER, 0)
        total = self.induced - own - (INNER - 1) * pair - outside
        return sp.factor(sp.simplify(total / self.kernel.subs(OTHER, OWN)))

    def _bent(self) -> Iterator[tuple[bool, bool, sp.Expr]]:
        """Words of δL[L[X]], on a diagonal entry i: whether they have X_ij X_ji and so count for j = i alone, whether j
        is a row else a column, and what multiplies X_ij² (X_ji² for a row)."""
        x = self.step.matrix("X")
        moved = self.step.pull.replaced({self.step.error: letter(x)})
        for word, coefficient in self.step.change_of_pull(x, moved):
            first, second = noise_places(word, x)
            outer = self._value((*word[:first], *word[second + 1 :]), OWN)
            between = self._value(word[first + 1 : second], OTHER)
            is_row = word[first] == Letter(x, True)
            yield word[first] == word[second], is_row, coefficient * outer * between

    def diagonal(self, value: Polynomial, singular_value: sp.Expr, weight: sp.Expr | None = None) -> sp.Expr:
        """A polynomial without noise on a diagonal entry."""
        return sp.expand(sp.Add(*(c * self._value(word, singular_value, weight) for word, c in value)))

    def _value(self, word: Word, singular_value: sp.Expr, weight: sp.Expr | None = None) -> sp.Expr:
        """What a product of parameters multiplies the entries of one row or column of the frame by."""
        q = self.weight if weight is None else weight
        first = self.step.factors[0].symbol
        roots = [singular_value * q if factor.symbol == first else singular_value / q for factor in word]  # type: ignore[union-attr]
        return sp.powdenest(sp.sqrt(sp.Mul(*roots)), force=True)
