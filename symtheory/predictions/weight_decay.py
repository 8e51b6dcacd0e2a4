"""Weight decay on redundant parameters acts on the predictor as another penalty."""

from __future__ import annotations

import sympy as sp

from symtheory.errors import CalculusError
from symtheory.graph.elementwise import ElementwiseModel
from symtheory.predictions.equation import equation
from symtheory.predictions.formula import Formula
from symtheory.predictions.prediction import Assumption, Prediction
from symtheory.predictions.smallest_on_fibre import smallest_on_fibre
from symtheory.predictions.subject import Subject
from symtheory.predictions.symbols import LAMBDA, PREDICTOR
from symtheory.predictions.weight_decay_of_group import MECHANISM, weight_decay_of_group


def derive(subject: Subject) -> Prediction:
    """For one coordinate where the graph acts on each by itself, else for the orbits of the whole group."""
    try:
        model = subject.coordinate
    except CalculusError:
        return weight_decay_of_group(subject)
    return weight_decay(model, subject.name)


def weight_decay(model: ElementwiseModel, name: str) -> Prediction:
    """R(w) = min ‖θ‖² over φ(θ) = w, reached where the moment map vanishes.

    Raises ``DerivationError`` where no closed minimum exists. Derived here; for the decay of charges that takes
    training there see Kunin et al. 2020 (2012.04728).
    """
    norm = sp.Add(*(symbol**2 for symbol in model.coordinates))
    minimum = smallest_on_fibre(model, norm)
    penalty = minimum.value_everywhere
    loss, regularizer = sp.Function("L")(PREDICTOR), sp.Function("R")(PREDICTOR)
    theta = dict(zip(map(str, model.coordinates), model.coordinates, strict=True))
    charges_vanish = "all charges vanish there, so that it is a minimum over its own fibre"
    condition = charges_vanish if model.generators else "it is the minimum of ‖θ‖² over its own fibre"
    return Prediction(
        mechanism=MECHANISM,
        title="Weight decay on a fibre",
        statement=sp.Tuple(
            equation(regularizer, penalty),
            equation(sp.Derivative(loss, PREDICTOR) + LAMBDA / 2 * sp.Derivative(regularizer, PREDICTOR), 0),
        ),
        observable="end point of gradient descent with weight decay: its predictor, its norm, its charges",
        assumptions=(
            Assumption("gradient descent with weight decay λ > 0 has reached a stationary point of L + λ‖θ‖²/2", True),
            Assumption(condition, True),
        ),
        order="exact at stationary points, for any step size",
        source="derived here from the minimum over a fibre; for the decay of charges Kunin et al. 2020 (2012.04728)",
        formulas={
            MECHANISM: Formula(penalty, "R(w), the smallest ‖θ‖² on the fibre of w.", {"w": PREDICTOR}),
            f"{MECHANISM}_slope": Formula(minimum.slope_everywhere, "R'(w) where w ≠ 0.", {"w": PREDICTOR}),
            f"{MECHANISM}_norm": Formula(norm, "‖θ‖² of one coordinate.", {}, {}, {"point": theta}),
        },
        parametrization=name,
        notes=(
            "R is the smallest ‖θ‖² on the fibre of w, so that decay adds λ/2 Σ_j R(w_j) to the loss of w",
            f"R(w) is stated for {minimum.domain}; the second relation holds where w ≠ 0",
        ),
    )
