"""Stationary density of a scalar predictor under label noise, from the conditional moments of one step."""

from __future__ import annotations

import sympy as sp

from symtheory.errors import DerivationError
from symtheory.graph.elementwise import ElementwiseModel
from symtheory.predictions.equation import equation
from symtheory.predictions.fibre_minimum import POSITIVE, fibre_minimum
from symtheory.predictions.formula import Formula
from symtheory.predictions.matrix_step import matrix_step
from symtheory.predictions.prediction import Assumption, Prediction
from symtheory.predictions.stationary_singular_values import MECHANISM, stationary_singular_values
from symtheory.predictions.subject import Subject
from symtheory.predictions.symbols import ETA, PREDICTOR, SIGMA, TARGET, TEMPERATURE

BACK = {POSITIVE: PREDICTOR, TEMPERATURE: ETA * SIGMA**2}
"""From the symbols of the derivation to those of the statement: T = η σ² is held fixed while η → 0."""


def derive(subject: Subject) -> Prediction:
    """See ``stationary_density``, and ``stationary_singular_values`` for a product of two matrices; ``CalculusError``
    for another graph that mixes coordinates."""
    step = matrix_step(subject)
    if step is not None:
        return stationary_singular_values(subject, step)
    return stationary_density(subject.coordinate, subject.name)


def stationary_density(model: ElementwiseModel, name: str) -> Prediction:
    """Density of w = φ(θ) under SGD on ½(w − y − σξ)², ξ standard normal, as η → 0 at fixed T = ησ².

    The change of w is expanded in the step η r; terms beyond the second vanish in the limit of its first two
    conditional moments over η. The limits give a diffusion, the balanced gauge turns it into one in w alone, and
    zero flux gives the density. Raises ``DerivationError`` where φ is no polynomial or the balanced gauge has no
    closed form. Own derivation; for the mechanism see Ziyin et al. (2402.07193).
    """
    drift_theta, diffusion_theta = limiting_moments(model)
    gauge = fibre_minimum(model, sp.Add(*(symbol**2 for symbol in model.coordinates)))
    drift = in_gauge(drift_theta, gauge.point)
    diffusion = in_gauge(diffusion_theta, gauge.point)
    log_density = zero_flux_log_density(drift, diffusion)
    gamma = generalized_gamma(log_density)
    positive_target = "y > 0" if gamma is None else f"{sp.expand((gamma[0] + 1) / gamma[2]).subs(BACK)} > 0"
    relations = density_relations(log_density, gamma)
    predictor = {"w": PREDICTOR}
    numbers = {"y": TARGET, "eta": ETA, "sigma": SIGMA}
    point = {str(symbol): value.subs(BACK) for symbol, value in gauge.point.items()}
    return Prediction(
        mechanism=MECHANISM,
        title="Stationary density under label noise",
        statement=relations[0] if gamma is None else sp.Tuple(*relations),
        observable="w over independent replicas after relaxation, one scalar predictor with a scalar target",
        assumptions=(
            Assumption("loss ½(w − y − σξ)² with fresh standard normal ξ at every step, plain SGD", True),
            Assumption("balanced gauge: the noise has contracted all charges to zero", True),
            Assumption("w keeps the sign it started with; stated for w > 0", True),
            Assumption(f"{positive_target}: else there is no stationary density on w > 0", True),
            Assumption("stationarity has been reached", True),
        ),
        order="leading order in eta at fixed eta*sigma**2",
        measure="dw on w > 0",
        source="derived here from the step's conditional moments; mechanism as in Ziyin et al. (2402.07193)",
        formulas={
            MECHANISM: Formula(log_density.subs(BACK), "log p(w) up to a constant, for w > 0.", predictor, numbers),
            f"{MECHANISM}_drift": Formula(drift.subs(BACK), "Mean change of w per step over η.", predictor, numbers),
            f"{MECHANISM}_diffusion": Formula(
                diffusion.subs(BACK), "Mean squared change of w per step over η.", predictor, numbers
            ),
            f"{MECHANISM}_gauge": Formula(point, "The balanced point over w > 0.", predictor),
        },
        parametrization=name,
        notes=() if gamma else ("Z makes the density integrate to 1",),
    )


def limiting_moments(model: ElementwiseModel) -> tuple[sp.Expr, sp.Expr]:
    """lim E[Δw]/η and lim E[(Δw)²]/η as η → 0 at fixed T = ησ², as functions of θ, y and T."""
    linear, quadratic = step_expansion(model)
    residual = model.predictor - TARGET
    # E[r] and E[r²] for r = w − y − σξ. The degree n of the step contributes η^(n/2 − 1) T^(n/2) at most.
    first = _limit(ETA * residual)
    second = _limit(ETA**2 * (residual**2 + SIGMA**2))
    return sp.expand(linear * first + quadratic * second), sp.expand(linear**2 * second)


def step_expansion(model: ElementwiseModel) -> tuple[sp.Expr, sp.Expr]:
    """Δw for θ' = θ − s ∇φ to second order in s: the coefficients of s, which is −|∇φ|², and of s², in θ.

    Raises ``DerivationError`` where φ is no polynomial, or a parameter is called as the target.
    """
    if TARGET in model.coordinates:
        raise DerivationError(f"a parameter is called {TARGET}, which stands for the target here: rename it")
    if not model.predictor.is_polynomial(*model.coordinates):
        raise DerivationError(f"w = {model.predictor} is no polynomial: the moments of a step have no finite expansion")
    step = sp.Symbol("step")
    moved = {symbol: symbol - step * slope for symbol, slope in zip(model.coordinates, model.gradient(), strict=True)}
    after = model.predictor.subs(moved, simultaneous=True)
    return sp.diff(after, step).subs(step, 0), sp.diff(after, step, 2).subs(step, 0) / 2


def _limit(moment: sp.Expr) -> sp.Expr:
    """lim moment/η as η → 0 at fixed T = ησ²."""
    return sp.expand(moment.subs(SIGMA, sp.sqrt(TEMPERATURE / ETA)) / ETA).coeff(ETA, 0)


def in_gauge(expression: sp.Expr, gauge: dict[sp.Symbol, sp.Expr]) -> sp.Expr:
    """A polynomial in θ at the balanced point over w > 0: a sum of powers of w."""
    return sp.expand(sp.powsimp(sp.expand(expression.subs(gauge, simultaneous=True))))


def zero_flux_log_density(drift: sp.Expr, diffusion: sp.Expr) -> sp.Expr:
    """log p with a p = ½ (b p)' for drift a and diffusion b, both sums of powers of w > 0; up to a constant."""
    if diffusion.subs(POSITIVE, 0) != 0:
        raise DerivationError("the noise does not stop at w = 0, so that w changes sign: no density on w > 0 alone")
    ratio = sp.expand(sp.powsimp(sp.expand(2 * drift / diffusion)))
    exponent = sp.Add(*(power_primitive(term) for term in sp.Add.make_args(ratio)))
    total = sp.expand(exponent - sp.expand_log(sp.log(diffusion), force=True))
    return total.as_independent(POSITIVE, as_Add=True)[1]


def power_primitive(term: sp.Expr) -> sp.Expr:
    """The primitive of one power of w > 0, without constant. Raises ``DerivationError`` for another term."""
    coefficient, power = term.as_independent(POSITIVE)
    base, exponent = power.as_base_exp()
    if base != POSITIVE and power != 1:
        raise DerivationError("the zero-flux condition has no closed solution for this drift and diffusion")
    exponent = exponent if base == POSITIVE else sp.S.Zero
    if exponent == -1:
        return coefficient * sp.log(POSITIVE)
    return coefficient * POSITIVE ** (exponent + 1) / (exponent + 1)


def generalized_gamma(log_density: sp.Expr) -> tuple[sp.Expr, sp.Expr, sp.Expr] | None:
    """(a, b, c) when p ∝ w^a exp(−b w^c) with b > 0, else None."""
    logarithmic, power_terms = _split(log_density)
    coefficient, power = power_terms.as_independent(POSITIVE)
    base, exponent = power.as_base_exp()
    if base != POSITIVE or not (-coefficient).is_positive:
        return None
    return logarithmic, -coefficient, exponent


def _split(log_density: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    """Coefficient of log w, and the remaining terms."""
    logarithmic = log_density.coeff(sp.log(POSITIVE))
    return logarithmic, sp.expand(log_density - logarithmic * sp.log(POSITIVE))


def density_relations(log_density: sp.Expr, gamma: tuple[sp.Expr, sp.Expr, sp.Expr] | None) -> list[sp.Eq]:
    """The density, and its mean and variance where they are closed."""
    logarithmic, power_terms = _split(log_density)
    shape = POSITIVE**logarithmic * sp.exp(power_terms)
    probability = sp.Function("p")(PREDICTOR)
    if gamma is None:
        return [equation(probability, (shape / sp.Symbol("Z", positive=True)).subs(BACK))]
    a, b, c = gamma
    index = sp.expand((a + 1) / c)
    normalizer = sp.gamma(index) / (c * b**index)
    mean, second = (_gamma_ratio(index, order / c) * b ** (-order / c) for order in (sp.Integer(1), sp.Integer(2)))
    return [
        equation(probability, (shape / normalizer).subs(BACK)),
        equation(sp.Function("E")(PREDICTOR), sp.expand(mean).subs(BACK)),
        equation(sp.Function("Var")(PREDICTOR), sp.factor(sp.expand(second - mean**2)).subs(BACK)),
    ]


def _gamma_ratio(x: sp.Expr, n: sp.Expr) -> sp.Expr:
    """Γ(x + n)/Γ(x), a product where n is a positive integer."""
    if n.is_Integer and n.is_positive:
        return sp.Mul(*(x + k for k in range(int(n))))
    return sp.gamma(x + n) / sp.gamma(x)
