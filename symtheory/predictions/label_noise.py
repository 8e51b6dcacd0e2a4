"""Label noise along the set of zero-loss solutions: the drift that it causes, and what the drift minimises."""

from __future__ import annotations

import sympy as sp

from symtheory.errors import CalculusError
from symtheory.graph.elementwise import ElementwiseModel
from symtheory.predictions.equation import equation
from symtheory.predictions.formula import Formula
from symtheory.predictions.prediction import Assumption, Prediction
from symtheory.predictions.smallest_on_fibre import smallest_on_fibre
from symtheory.predictions.subject import Subject
from symtheory.predictions.symbols import ETA, PREDICTOR, SIGMA
from symtheory.predictions.zero_loss_drift import MECHANISM, zero_loss_drift


def derive(subject: Subject) -> Prediction:
    """For one coordinate where the graph acts on each by itself, else for the whole point."""
    try:
        model = subject.coordinate
    except CalculusError:
        return zero_loss_drift(subject)
    return label_noise(model, subject.name)


def label_noise(model: ElementwiseModel, name: str) -> Prediction:
    """SGD with label noise σ drifts along zero loss so as to minimise Σ_j κ_j R(w_j), R(w) = min JJᵀ over the fibre.

    J = ∂φ/∂θ of one coordinate, κ_j the mean square of feature j. Raises ``DerivationError`` where the minimum over
    the fibre has no closed form. Source: Li et al. 2021 (2110.06914).
    """
    tangent_kernel = sp.expand((model.gradient().T * model.gradient())[0])
    minimum = smallest_on_fibre(model, tangent_kernel)
    penalty = minimum.value_everywhere
    regularizer = sp.Function("R")(PREDICTOR)
    kappa = sp.Symbol("kappa", positive=True)
    theta = dict(zip(map(str, model.coordinates), model.coordinates, strict=True))
    drifts = tuple(
        equation(
            sp.Symbol(f"drift_{symbol}"), -(ETA**2) * SIGMA**2 / 4 * kappa * sp.factor(sp.diff(tangent_kernel, symbol))
        )
        for symbol in model.coordinates
    )
    return Prediction(
        mechanism=MECHANISM,
        title="Label-noise drift at zero loss",
        statement=sp.Tuple(*drifts, equation(regularizer, penalty)),
        observable="predictor of the solution that noise-free gradient descent reaches from the current point",
        assumptions=(
            Assumption("squared loss ½r², one sample a step (for a mean over B samples σ²/B replaces σ²)", True),
            Assumption("training has reached zero loss and stays near it", True),
            Assumption("κ is the mean square of the feature that multiplies this coordinate", True),
            Assumption("step small enough for the slow drift to be seen apart from the fast fluctuation", True),
        ),
        order="leading order in eta",
        source="Li et al. 2021 (2110.06914)",
        formulas={
            MECHANISM: Formula(penalty, "R(w), minimised along zero loss with weights κ.", {"w": PREDICTOR}),
            f"{MECHANISM}_slope": Formula(minimum.slope_everywhere, "R'(w) where w ≠ 0.", {"w": PREDICTOR}),
            f"{MECHANISM}_kernel": Formula(tangent_kernel, "JJᵀ of one coordinate.", {}, {}, {"point": theta}),
        },
        parametrization=name,
        notes=(
            "drift: mean change per step, of which the part along the zero-loss set stays",
            "R is the smallest JJᵀ on the fibre of w, J = ∂w/∂θ of one coordinate",
            "the drift minimises Σ_j κ_j R(w_j) among the solutions of Xw = y",
            f"R(w) is stated for {minimum.domain}",
        ),
    )
