"""The diffusion of singular values that label noise makes, and where it has a stationary density."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import sympy as sp

from symtheory.errors import DerivationError
from symtheory.predictions.balanced_frame import OTHER, OWN, BalancedFrame
from symtheory.predictions.log_spectrum import LogSpectrum
from symtheory.predictions.matrix_step import COLUMNS, INNER, ROWS
from symtheory.predictions.symbols import TEMPERATURE

ACROSS, BACK = sp.symbols("x y", positive=True)
"""Entries i, j and j, i of a small change in the frame of the singular vectors."""


@cache
def pair_shift() -> sp.Expr:
    """Second-order change of s_i by the entries x = ΔW_ij and y = ΔW_ji: [(x² + y²)s_i + 2xy s_j]/(2(s_i² − s_j²)).

    To second order the other singular values contribute one by one, so that W is s_i, s_j and these entries. The
    change is found from det(WᵀW − λ) = 0 with λ = s_i² + ε² l and the terms of order ε².
    """
    small, change = sp.symbols("epsilon l")
    matrix = sp.Matrix([[OWN, small * ACROSS], [small * BACK, OTHER]])
    determinant = sp.expand((matrix.T * matrix - (OWN**2 + small**2 * change) * sp.eye(2)).det())
    (solution,) = sp.solve(determinant.coeff(small, 2), change)
    return sp.factor(solution / (2 * OWN))


@dataclass(frozen=True)
class SingularValueDiffusion:
    """ds_i = a_i dt + √b_i dB_i in time η a step, for W = U S Vᵀ of rank h that starts in the balanced gauge.

    frame: where the entries of the noise are independent. b_i is T ``diffusion``; a_i is ``restoring`` times what the
    target's entry leaves, and T times ``single`` and the sum of ``repulsion`` over j ≠ i. All in s_i, s_j, n, m, h.
    """

    frame: BalancedFrame

    @cached_property
    def diffusion(self) -> sp.Expr:
        """b_i/T = K_ii²."""
        return self.frame.kernel.subs(OTHER, OWN) ** 2

    @cached_property
    def restoring(self) -> sp.Expr:
        """The drift without noise over Y_ii − s_i, Y_ii the target's entry u_iᵀ Y v_i: K_ii."""
        return self.frame.kernel.subs(OTHER, OWN)

    @cached_property
    def repulsion(self) -> sp.Expr:
        """What s_j adds to the drift of s_i, over T."""
        kernel = self.frame.kernel
        back = kernel.subs({OWN: OTHER, OTHER: OWN}, simultaneous=True)
        return sp.factor(_of_independent(kernel**2, back**2))

    @cached_property
    def single(self) -> sp.Expr:
        """The noise's own mean change, and what the n − h rows and m − h columns without singular value add."""
        kernel = self.frame.kernel
        rows = _of_independent(sp.S.Zero, kernel.subs({OWN: 0, OTHER: OWN}, simultaneous=True) ** 2).subs(OTHER, 0)
        columns = _of_independent(kernel**2, sp.S.Zero).subs(OTHER, 0)
        return sp.factor(self.frame.induced + (ROWS - INNER) * rows + (COLUMNS - INNER) * columns)

    @cached_property
    def mean_pair(self) -> sp.Expr:
        """What a pair adds to (E s_i − y_i)/T around a minimum at y: ``pair_shift`` of entries of variance T K_ij/2."""
        kernel = self.frame.kernel
        back = kernel.subs({OWN: OTHER, OTHER: OWN}, simultaneous=True)
        return sp.factor(_of_independent(kernel / 2, back / 2))

    @cached_property
    def mean_single(self) -> sp.Expr:
        """The rest of (E s_i − y_i)/T: the shift of W_ii, and the entries beside the singular values."""
        kernel = self.frame.kernel
        rows = _of_independent(sp.S.Zero, kernel.subs({OWN: 0, OTHER: OWN}, simultaneous=True) / 2).subs(OTHER, 0)
        columns = _of_independent(kernel / 2, sp.S.Zero).subs(OTHER, 0)
        return sp.factor(self.frame.shift + (ROWS - INNER) * rows + (COLUMNS - INNER) * columns)

    def log_density(self) -> tuple[sp.Expr, LogSpectrum]:
        """log p of all singular values at target 0 and n = m, up to a constant: Σ_i of the first, and the second.

        Where p carries no flux, ∂_i log p = (2a_i − ∂_i b_i)/b_i. Raises ``DerivationError`` where these slopes have
        no potential that is a sum over single values and pairs.
        """
        pull = sp.cancel(self._square(-2 * self.restoring * OWN / self.diffusion)) / TEMPERATURE
        power = sp.cancel(self._square((2 * self.single - sp.diff(self.diffusion, OWN)) / self.diffusion) * OWN)
        pair = self._square(2 * self.repulsion / self.diffusion)
        lone, sums, gaps = unknown = sp.symbols("lone sums gaps")
        rest = sp.together(pair - (lone / OWN + sums / (OWN + OTHER) + gaps / (OWN - OTHER)))
        solutions = list(sp.linsolve(sp.Poly(sp.numer(rest), OWN, OTHER).coeffs(), unknown))
        if not solutions or {OWN, OTHER} & (pull.free_symbols | power.free_symbols):
            raise DerivationError("the slopes of the singular values have no potential of single values and pairs")
        lone, sums, gaps = solutions[0]
        return pull * OWN, LogSpectrum(sp.expand(power + (INNER - 1) * lone), sums, gaps)

    def _square(self, expression: sp.Expr) -> sp.Expr:
        return sp.cancel(expression.subs(COLUMNS, ROWS))


def _of_independent(across: sp.Expr, back: sp.Expr) -> sp.Expr:
    """The mean of ``pair_shift`` for independent x and y of these second moments and mean zero."""
    expanded = sp.expand(sp.together(pair_shift() * (OWN**2 - OTHER**2)))
    moments = {(2, 0): across, (0, 2): back, (1, 1): sp.S.Zero}
    found = sp.Poly(sp.cancel(expanded), ACROSS, BACK)
    return sp.cancel(sp.Add(*(c * moments[powers] for powers, c in found.terms())) / (OWN**2 - OTHER**2))
