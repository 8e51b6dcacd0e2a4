"""The diffusion of several coordinates w_j > 0 that one linear regression couples, in the balanced gauge.

One step moves θ_j by −η r x_j ∇φ(θ_j), r the residual. With k(w) = |∇φ|² and q(w) = ½ ∇φᵀ∇²φ∇φ on the balanced curve
and X = E xxᵀ, the first two conditional moments of w give, as η → 0 at fixed T = ησ²,

    a_j = −k_j (X(w − y))_j + T X_jj q_j,    b_jl = T X_jl k_j k_l.
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy as sp

from symtheory.errors import DerivationError
from symtheory.graph.elementwise import ElementwiseModel
from symtheory.predictions.fibre_minimum import POSITIVE, fibre_minimum
from symtheory.predictions.stationary_density import TEMPERATURE, in_gauge, power_primitive, step_expansion
from symtheory.predictions.symbols import TARGET

LEVERAGE = sp.Symbol("rho", real=True)
"""ρ_j = Σ_l (X⁻¹)_jl X_ll of one coordinate; 1 for uncorrelated features."""

PAIR = sp.symbols("w_1 w_2", positive=True)
TARGETS = sp.symbols("y_1 y_2", real=True)
_FIRST, _DETERMINANT = sp.symbols("X_11 D", positive=True)
_MIXED = sp.Symbol("X_12", real=True)
_SECOND = (_DETERMINANT + _MIXED**2) / _FIRST
GRAM = sp.Matrix([[_FIRST, _MIXED], [_MIXED, _SECOND]])
INVERSE = sp.Matrix([[_SECOND, -_MIXED], [-_MIXED, _FIRST]]) / _DETERMINANT
"""X and X⁻¹ of two coordinates, for the curl of the zero-flux condition couples no more than two at a time. With the
determinant D in the place of X_22 both are sums of powers, in which terms cancel as they meet."""


@dataclass(frozen=True)
class QuotientDiffusion:
    """kernel: k(w); bend: q(w); gauge: the balanced point over w > 0, by parameter.

    ``log_slope`` and ``log_density`` are those of one coordinate given ρ; None where correlated features leave the
    zero-flux condition without a potential.
    """

    kernel: sp.Expr
    bend: sp.Expr
    gauge: dict[sp.Symbol, sp.Expr]
    log_density: sp.Expr | None

    @property
    def excess(self) -> sp.Expr:
        """2q/k − k', what the curvature of the balanced curve leaves of the noise-induced drift."""
        return excess(self.kernel, self.bend)


def quotient_diffusion(model: ElementwiseModel) -> QuotientDiffusion:
    """Raises ``DerivationError`` where φ is no polynomial, the balanced gauge has no closed form, or w changes sign."""
    linear, quadratic = step_expansion(model)
    minimum = fibre_minimum(model, sp.Add(*(symbol**2 for symbol in model.coordinates)))
    kernel, bend = in_gauge(-linear, minimum.point), in_gauge(quadratic, minimum.point)
    if kernel.subs(POSITIVE, 0) != 0:
        raise DerivationError("the noise does not stop at w = 0, so that w changes sign: no density on w > 0 alone")
    slopes = zero_flux_slopes(kernel, bend)
    _verify_gaussian(kernel, bend)
    closed = _curl(slopes) == 0
    return QuotientDiffusion(kernel, bend, minimum.point, _log_density(kernel, bend, slopes) if closed else None)


def excess(kernel: sp.Expr, bend: sp.Expr) -> sp.Expr:
    """2q/k − k' as a function of w > 0."""
    return sp.expand(sp.powsimp(sp.expand(2 * bend / kernel)) - sp.diff(kernel, POSITIVE))


def pair_moments(kernel: sp.Expr, bend: sp.Expr) -> tuple[sp.Matrix, sp.Matrix]:
    """Drift a (2×1) and diffusion b (2×2) of two coordinates."""
    kernels = [kernel.subs(POSITIVE, w) for w in PAIR]
    pull = GRAM * (sp.Matrix(PAIR) - sp.Matrix(TARGETS))
    drift = sp.Matrix(
        [-kernels[j] * pull[j] + TEMPERATURE * GRAM[j, j] * bend.subs(POSITIVE, w) for j, w in enumerate(PAIR)]
    )
    return drift, sp.Matrix(2, 2, lambda j, l: TEMPERATURE * GRAM[j, l] * kernels[j] * kernels[l])


def zero_flux_slopes(kernel: sp.Expr, bend: sp.Expr) -> sp.Matrix:
    """F = b⁻¹(2a − div b): the gradient of log p where the zero-flux condition a p = ½ div(b p) has a solution."""
    drift, diffusion = pair_moments(kernel, bend)
    divergence = sp.Matrix([sum(sp.diff(diffusion[j, l], w) for l, w in enumerate(PAIR)) for j in range(2)])
    # b = T K X K has the inverse K⁻¹X⁻¹K⁻¹/T, which SymPy inverts faster in three pieces than in one.
    scales = sp.diag(*(1 / kernel.subs(POSITIVE, w) for w in PAIR))
    slopes = scales * INVERSE * scales * (2 * drift - divergence) / TEMPERATURE
    return slopes.applyfunc(_collected)


def _collected(expression: sp.Expr) -> sp.Expr:
    """A sum of powers with like terms brought together: zero exactly if it vanishes."""
    return sp.expand(sp.powsimp(sp.expand(expression)))


def _curl(slopes: sp.Matrix) -> sp.Expr:
    return _collected(sp.diff(slopes[0], PAIR[1]) - sp.diff(slopes[1], PAIR[0]))


def _log_density(kernel: sp.Expr, bend: sp.Expr, slopes: sp.Matrix) -> sp.Expr:
    """The potential of F for one coordinate, up to a constant.

    F has no curl for every X only if 2q/k − k' is a constant s. Then F_j depends on w_j alone, with the features in
    s ρ_j; this form is compared with F itself.
    """
    rest = excess(kernel, bend)
    pull = -2 * (POSITIVE - TARGET) / TEMPERATURE - sp.diff(kernel, POSITIVE) + rest * LEVERAGE
    slope = sp.expand(sp.powsimp(sp.expand(pull / kernel)))
    leverage = (INVERSE * GRAM.diagonal().T)[0]
    same = slope.subs({POSITIVE: PAIR[0], TARGET: TARGETS[0], LEVERAGE: leverage}, simultaneous=True)
    if rest.has(POSITIVE) or _collected(same - slopes[0]) != 0:
        raise DerivationError("the zero-flux condition has a potential, and not one of single coordinates")
    return sp.Add(*(power_primitive(term) for term in sp.Add.make_args(slope)))


def _verify_gaussian(kernel: sp.Expr, bend: sp.Expr) -> None:
    """That w = y + (T/2) X⁻¹ diag(X) (2q/k − k') on average, with covariance (T/2) diag k, is stationary.

    The covariance has to solve the Lyapunov equation of the drift linearized at w = y; the mean has to balance the
    terms of order T in the drift, of which the covariance makes one.
    """
    drift, diffusion = pair_moments(kernel, bend)
    at = dict(zip(PAIR, sp.symbols("v_1 v_2", positive=True), strict=True))
    minimum = dict(zip(TARGETS, at.values(), strict=True))
    pull = drift.subs(TEMPERATURE, 0).subs(minimum)
    restoring = -pull.jacobian(PAIR).subs(at)
    covariance = TEMPERATURE / 2 * sp.diag(*(kernel.subs(POSITIVE, v) for v in at.values()))
    lyapunov = restoring * covariance + covariance * restoring.T - diffusion.subs(at)
    rest = sp.Matrix([GRAM[j, j] * excess(kernel, bend).subs(POSITIVE, v) for j, v in enumerate(at.values())])
    shift = TEMPERATURE / 2 * INVERSE * rest
    induced = (drift - drift.subs(TEMPERATURE, 0)).subs(at)
    bent = sp.Matrix([(sp.hessian(entry, PAIR).subs(at) * covariance).trace() / 2 for entry in pull])
    remainders = [*lyapunov, *(induced + bent - restoring * shift)]
    if any(_collected(remainder) != 0 for remainder in remainders):
        raise DerivationError("mean and covariance around the minimum do not solve the moment equations")
