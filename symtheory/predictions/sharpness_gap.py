"""How far below 2/η the sharpness of a network settles under SGD, from what is measured at one point of the edge."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import sympy as sp

from symtheory.errors import DerivationError
from symtheory.predictions import sharpness_gap_directions
from symtheory.predictions.drift_memory import DRIFT_CURVATURE, drift_noise_kept
from symtheory.predictions.edge_gap import (
    DRIFT_NOISE,
    GAP,
    MEMORY,
    MIXED,
    SPREAD,
    corrected_gap,
    drift_noise_gap,
    exact_gap,
    fixed_point,
    leading_gap,
    stationary_oscillation,
)
from symtheory.predictions.equation import equation
from symtheory.predictions.formula import Formula
from symtheory.predictions.normal_form import (
    CHANGE,
    NOISE,
    SHARPENING,
    STABILIZATION,
    SUM,
    XI,
    X,
    Y,
    critical_sharpness,
    normal_form,
)
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
    "leading order; all else derived here"
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
    """The gap 2(1 + μ)/η − E S, in what a point of the edge tells: α, β and σ_u², with heavy-ball momentum μ.

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
            equation(sp.Symbol("kappa"), drift_noise_kept()),
            equation(sp.Symbol("S_c"), critical_sharpness()),
            equation(sp.Function("log p")(X, Y), law.log_density),
            *sharpness_gap_directions.statements(),
        ),
        observable="sharpness S, its eigenvector u, ∇S and the batch gradients along u, at steps of a run at the edge",
        assumptions=(
            Assumption("at the edge: the sharpness has reached S_c, 2/η without momentum, and stays near it", True),
            Assumption("training sharpens: α = −∇L·∇S > 0, and α, β, σ_u change little while x and y relax", True),
            Assumption("one critical direction: the next eigenvalue lies below S_c by much more than the gap", True),
            Assumption("what fluctuates in other directions takes little of α, or is taken off it (alpha_left)", True),
            Assumption("along ∇S⊥ the loss is nearly straight: its curvature there is small against α/|y|", True),
            Assumption("the noise of the batch gradient along ∇S⊥ is small, or kappa*gap_s is added to the gap", True),
            Assumption("the corrections are small against one, else the formulas are out of their range", True),
        ),
        order="the step to leading order around the edge; in it E x² and the gap in V, M and W are exact, the second "
        "gap is to second order in eta at fixed eta*sigma_u**2, the density and Gamma to first",
        measure="dx dy, with the sign that x takes at every step removed",
        source=SOURCE,
        formulas=_formulas(),
        parametrization=subject.name,
        notes=(
            "x: position along u; y = S − S_c; p = x + x before, q = y − y before; mu: heavy-ball momentum, without "
            "which p and q are not needed; (x_0², y_0): where gradient descent rests, but for the sign of x",
            "alpha = −∇L·∇S; beta: square of the part of ∇S orthogonal to u; sigma_u: standard deviation of the batch "
            "gradient along u; xi: standard normal; weight decay lambda adds lambda to S and lambda θ to ∇L in alpha",
            "gap = −E y; V = Var(x²), M = E(x² y²), W = E(x y p − x² q), to be measured: the identity is the referee "
            "of the forecasts; that to leading order is the first term, with sigma_u**2",
            "gap_s: what noise of ∇S⊥·g, of standard deviation sigma_s and independent of xi, adds to the gap, exactly",
            "kappa: the part of gap_s that is left where the loss has curvature c along ∇S⊥, to first order in eta",
            "the limiting law is normal: friction −y regulated by the energy x², a Nosé–Hoover thermostat",
            *sharpness_gap_directions.NOTES,
        ),
    )


def _formulas() -> dict[str, Formula | SourceFunction]:
    law = stationary_law()
    numbers = {"eta": ETA, "momentum": MOMENTUM}
    state = {"x": X, "y": Y}
    history = {"x_sum": SUM, "y_change": CHANGE}
    names = {symbol: name for name, symbol in (state | history).items()}
    step = {names[symbol]: value for symbol, value in normal_form().update.items()}
    moments = {"spread": SPREAD, "mixed": MIXED, "memory": MEMORY}
    return {
        MECHANISM: _noisy(leading_gap(), "Gap to leading order."),
        f"{MECHANISM}_corrected": _noisy(corrected_gap(), "Gap with its next order in η."),
        f"{MECHANISM}_identity": _noisy(
            exact_gap(),
            "Gap from Var(x²), E(x²y²), E(x·y·x_sum − x²·y_change): exact in the normal form.",
            after=moments,
        ),
        f"{MECHANISM}_of_drift_noise": Formula(
            drift_noise_gap().subs(DRIFT_NOISE, sp.sqrt(DRIFT_VARIANCE)),
            "What noise of ∇S⊥·g of this variance adds to the gap.",
            {"alpha": SHARPENING, "drift_noise": DRIFT_VARIANCE},
            numbers,
        ),
        f"{MECHANISM}_drift_noise_kept": Formula(
            drift_noise_kept(),
            "The part of it that is left where the loss is curved along ∇S⊥.",
            {"alpha": SHARPENING, "gap": GAP, "curvature": DRIFT_CURVATURE},
        ),
        f"{MECHANISM}_distance": Formula(
            SHARPNESS - critical_sharpness(),
            "y: how far the sharpness lies above the edge.",
            {"sharpness": SHARPNESS},
            numbers,
        ),
        f"{MECHANISM}_oscillation": Formula(stationary_oscillation(), "E x² at the edge.", _LOCAL),
        f"{MECHANISM}_step": _noisy(
            step,
            "A step; x_sum = x + x before, y_change = y − y before, xi standard normal.",
            before={**state, **history, "xi": XI},
        ),
        f"{MECHANISM}_log_density": _noisy(law.log_density, "log p(x, y) up to a constant.", before=state),
        **sharpness_gap_directions.formulas(MECHANISM, SOURCE),
    }


def _noisy(
    results: sp.Expr | Mapping[str, sp.Expr],
    meaning: str,
    *,
    before: Mapping[str, sp.Symbol] = MappingProxyType({}),
    after: Mapping[str, sp.Symbol] = MappingProxyType({}),
) -> Formula:
    """A formula of α, β and σ_u², with other arguments before or after these."""
    written = (
        {key: _with_variance(value) for key, value in results.items()}
        if isinstance(results, Mapping)
        else _with_variance(results)
    )
    return Formula(written, meaning, {**before, **_NOISY, **after}, {"eta": ETA, "momentum": MOMENTUM})


def _with_variance(expression: sp.Expr) -> sp.Expr:
    return expression.subs(NOISE, sp.sqrt(VARIANCE))
