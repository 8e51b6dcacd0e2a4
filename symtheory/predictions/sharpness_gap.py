"""How far below 2/η the sharpness of a network settles under SGD, from what is measured at one point of the edge."""

from __future__ import annotations

from collections.abc import Mapping

import sympy as sp

from symtheory.errors import DerivationError
from symtheory.predictions import sharpness_gap_directions
from symtheory.predictions.edge_gap import (
    DRIFT_NOISE,
    GAP,
    MIXED,
    SPREAD,
    corrected_gap,
    critical_sharpness,
    drift_noise_gap,
    exact_gap,
    fixed_point,
    gap_with_momentum,
    stationary_oscillation,
)
from symtheory.predictions.equation import equation
from symtheory.predictions.formula import Formula
from symtheory.predictions.normal_form import NOISE, SHARPENING, STABILIZATION, XI, X, Y, normal_form
from symtheory.predictions.prediction import Assumption, Prediction
from symtheory.predictions.source_function import SourceFunction
from symtheory.predictions.stationary_second_moments import MOMENTUM
from symtheory.predictions.stochastic_map import MEAN
from symtheory.predictions.subject import Subject
from symtheory.predictions.symbols import ETA
from symtheory.predictions.thermostat import stationary_law

MECHANISM = "sharpness_gap"
SOURCE = (
    "Damian, Nichani, Lee 2022 (2209.15594) for the normal form without noise, Liao et al. (2604.21016) for the gap to "
    "leading order; the next order and the stationary law derived here"
)

VARIANCE = sp.Symbol("noise", positive=True)
"""σ_u², the argument of generated functions."""

DRIFT_VARIANCE = sp.Symbol("drift_noise", nonnegative=True)
"""σ_s², the argument of generated functions."""

SHARPNESS = sp.Symbol("S", real=True)
"""The largest eigenvalue of the Hessian."""

_LOCAL: dict[str, sp.Symbol] = {"alpha": SHARPENING, "beta": STABILIZATION}
_NOISY = {**_LOCAL, "noise": VARIANCE}


def derive(subject: Subject) -> Prediction:
    """The gap 2/η − E S, in what a point of the edge tells: α, β and σ_u².

    It is a statement about any smooth loss of the predictor: the graph's part is that ∇S can leave the top
    eigenvector's own direction. Raises ``DerivationError`` for a graph with a single parameter, where it cannot.
    """
    if sum((sp.prod(shape) for shape in subject.graph.parameters.values()), sp.Integer(0)) == 1:
        raise DerivationError(f"'{subject.name}' has one parameter alone: its sharpness has no direction to move in")
    step, law = normal_form(), stationary_law()
    return Prediction(
        mechanism=MECHANISM,
        title="Stochastic sharpness gap at the edge of stability",
        statement=sp.Tuple(
            *(equation(sp.Symbol(f"{symbol}'"), value) for symbol, value in step.update.items()),
            equation(sp.Tuple(sp.Symbol("x_0") ** 2, sp.Symbol("y_0")), sp.Tuple(*fixed_point())),
            equation(MEAN(X**2), stationary_oscillation()),
            equation(GAP, exact_gap()),
            equation(GAP, corrected_gap()),
            equation(sp.Symbol("gap_s"), drift_noise_gap()),
            equation(sp.Symbol("gap_mu"), gap_with_momentum()),
            equation(sp.Symbol("S_mu"), critical_sharpness()),
            equation(sp.Function("log p")(X, Y), law.log_density),
            *sharpness_gap_directions.statements(),
        ),
        observable="sharpness S, its eigenvector u, ∇S and the batch gradients along u, at steps of a run at the edge",
        assumptions=(
            Assumption("at the edge: the sharpness has reached 2/η and stays near it", True),
            Assumption("training sharpens: α = −∇L·∇S > 0, and α, β, σ_u change little while x and y relax", True),
            Assumption("one critical direction: the next eigenvalue lies below 2/η by much more than the gap", True),
            Assumption("what fluctuates in other directions takes little of α, or is taken off it (alpha_left)", True),
            Assumption("along ∇S⊥ the loss is nearly straight: its curvature there is small against α/|y|", True),
            Assumption("the noise of the batch gradient along ∇S⊥ is small, or gap_s is added to the gap", True),
            Assumption("the corrections are small against one, else the formulas are out of their range", True),
        ),
        order="x' and y' to leading order around the edge; in them E x² and the gap in V and M are exact, the second "
        "gap is to second order in eta at fixed eta*sigma_u**2, gap_mu, the density and Gamma to first",
        measure="dx dy, with the sign that x takes at every step removed",
        source=SOURCE,
        formulas=_formulas(),
        parametrization=subject.name,
        notes=(
            "x: position along u; y = S − 2/eta; (x_0², y_0): where gradient descent rests, but for the sign "
            "of x; alpha = −∇L·∇S; beta: square of the part of ∇S orthogonal to u; "
            "sigma_u: standard deviation of the batch gradient along u; xi: standard normal",
            "gap = −E y; V = Var(x²), M = E(x² y²), to be measured: the identity is the referee of the two forecasts",
            "gap_s: what noise of ∇S⊥·g, of standard deviation sigma_s and independent of xi, adds to the gap, exactly",
            "the limiting law is normal: friction −y regulated by the energy x², a Nosé–Hoover thermostat",
            "gap_mu, S_mu: with heavy-ball momentum mu, at the edge S_mu; weight decay lambda adds lambda to S and "
            "lambda θ to ∇L in alpha",
            *sharpness_gap_directions.NOTES,
        ),
    )


def _formulas() -> dict[str, Formula | SourceFunction]:
    law = stationary_law()
    eta = {"eta": ETA}
    state = {"x": X, "y": Y}
    step = {str(symbol): _with_variance(value) for symbol, value in normal_form().update.items()}
    return {
        MECHANISM: _noisy(gap_with_momentum(), "Gap to leading order.", {**eta, "momentum": MOMENTUM}),
        f"{MECHANISM}_corrected": _noisy(corrected_gap(), "Gap with its next order in η, without momentum.", eta),
        f"{MECHANISM}_identity": Formula(
            _with_variance(exact_gap()),
            "Gap from Var(x²) and E(x²y²) of a run: exact in the normal form.",
            {**_NOISY, "spread": SPREAD, "mixed": MIXED},
            eta,
        ),
        f"{MECHANISM}_of_drift_noise": Formula(
            drift_noise_gap().subs(DRIFT_NOISE, sp.sqrt(DRIFT_VARIANCE)),
            "What noise of ∇S⊥·g of this variance adds to the gap.",
            {"alpha": SHARPENING, "drift_noise": DRIFT_VARIANCE},
            eta,
        ),
        f"{MECHANISM}_distance": Formula(
            SHARPNESS - critical_sharpness(),
            "y: how far the sharpness lies above the edge.",
            {"sharpness": SHARPNESS},
            {**eta, "momentum": MOMENTUM},
        ),
        f"{MECHANISM}_oscillation": Formula(stationary_oscillation(), "E x² at the edge.", _LOCAL),
        f"{MECHANISM}_step": Formula(
            step,
            "One step of the normal form; xi is a standard normal draw.",
            {**state, "xi": XI, **_NOISY},
            eta,
        ),
        f"{MECHANISM}_log_density": Formula(
            _with_variance(law.log_density), "log p(x, y) up to a constant.", {**state, **_NOISY}, eta
        ),
        **sharpness_gap_directions.formulas(MECHANISM, SOURCE),
    }


def _noisy(expression: sp.Expr, meaning: str, numbers: Mapping[str, sp.Symbol]) -> Formula:
    return Formula(_with_variance(expression), meaning, _NOISY, numbers)


def _with_variance(expression: sp.Expr) -> sp.Expr:
    return expression.subs(NOISE, sp.sqrt(VARIANCE))
