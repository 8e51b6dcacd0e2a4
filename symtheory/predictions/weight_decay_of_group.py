"""Weight decay where the group acts on whole arrays: the smallest norm on an orbit, and its balance conditions."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import sympy as sp

from symtheory.codegen.charge_functions import render_charges
from symtheory.codegen.layout import fold_statement
from symtheory.codegen.statements import Statements, function_source, point_entry
from symtheory.errors import DerivationError
from symtheory.graph.shapes import Shape
from symtheory.predictions.equation import equation
from symtheory.predictions.orbit_functions import render_minimiser, render_minimum
from symtheory.predictions.orbit_minimum import OrbitMinimum, orbit_minimum
from symtheory.predictions.prediction import Assumption, Prediction
from symtheory.predictions.source_function import SourceFunction
from symtheory.predictions.subject import Subject
from symtheory.predictions.symbols import LAMBDA
from symtheory.predictions.whole_fibre import reach
from symtheory.symmetry.factor import Factor
from symtheory.symmetry.translation import Translation

MECHANISM = "weight_decay"
NORM, BALANCED = f"{MECHANISM}_norm", f"{MECHANISM}_balanced"
BALANCE = f"{MECHANISM}_balance"

PENALTY = sp.Function("R")(sp.Symbol("theta"))
GRADIENTS = sp.Symbol("grad_L"), sp.Symbol("grad_R")


def weight_decay_of_group(subject: Subject) -> Prediction:
    """R(θ) = min ‖θ‖² over the orbit of θ, reached where all charges vanish; in closed form where there is one.

    At a stationary point of L + λ‖θ‖²/2 every field X of the group has ⟨θ, X(θ)⟩ = 0, for L does not change along it.
    For a symmetric generator that is its charge; and since ‖θ‖² is convex along the exponentials of these, the point
    is smallest on its orbit. Without closed form the charges alone are stated. Raises ``DerivationError`` without a
    charge, and where the norm has no smallest value on an orbit. Derived here; for the decay of charges see Kunin et
    al. 2020 (2012.04728).
    """
    factors = [factor for factor in subject.group if factor.has_charge]
    if not factors:
        raise DerivationError(
            f"'{subject.name}' has no conserved charge: decay shrinks the parameters and no orbit has a smaller norm"
        )
    model = subject.matrices
    minimum = orbit_minimum(model, dict.fromkeys(model.views, sp.Integer(1)))
    relations = [equation(charge, sp.Integer(0)) for factor in factors for charge in factor.charges.values()]
    if minimum.is_closed:
        gradient_of_loss, gradient = GRADIENTS
        relations = [
            equation(PENALTY, minimum.value),
            equation(gradient_of_loss + LAMBDA / 2 * gradient, 0),
            *relations,
        ]
    return Prediction(
        mechanism=MECHANISM,
        title="Weight decay on an orbit",
        statement=sp.Tuple(*relations),
        observable="end point of gradient descent with weight decay: its norm, its charges, the gradient of the loss",
        assumptions=(
            Assumption("gradient descent with weight decay λ > 0 has reached a stationary point of L + λ‖θ‖²/2", True),
            Assumption("L depends on θ through the predictor alone", True),
        ),
        order="exact at stationary points, for any step size",
        source="derived here from the minimum over an orbit; for the decay of charges Kunin et al. 2020 (2012.04728)",
        formulas=_formulas(subject, minimum, factors),
        parametrization=subject.name,
        notes=_notes(subject, minimum),
    )


def _notes(subject: Subject, minimum: OrbitMinimum) -> tuple[str, ...]:
    if not minimum.is_closed:
        names = ", ".join(minimum.unsolved)
        return (
            f"the smallest ‖θ‖² on an orbit of {names} has no closed form here: the balance conditions stand alone",
            "⟨θ, grad L⟩ = −λ‖θ‖² there",
        )
    made_up = [f.name for f in subject.group if isinstance(f, Translation) and f.compensation]
    several = [factor.name for factor in subject.group if getattr(factor, "copies", ()) and _is_split(subject, factor)]
    return (
        "R is the smallest ‖θ‖² on the orbit of θ, a function of what the group leaves alone; decay adds λ/2 R to L",
        "grad L + λ/2 grad R = 0 holds where R is differentiable, in θ as in what R is a function of; where singular "
        "values or norms vanish, 0 lies in the subdifferential",
        reach(subject, minimum),
        *(f"R is not taken over {name}, whose shift other parameters make up for" for name in made_up),
        *(f"matrices stand for one copy of {name}; R sums over the copies" for name in several),
    )


def _is_split(subject: Subject, factor: Factor) -> bool:
    """Whether the copies are told apart by places that the matrices do not have."""
    return any(subject.matrices.views[m.parameter].batch for m in subject.matrices.meetings if m.factor == factor.name)


def _formulas(subject: Subject, minimum: OrbitMinimum, factors: list[Factor]) -> Mapping[str, SourceFunction]:
    parameters, owner = subject.graph.parameters, subject.name
    summary = "The charges, which vanish where ‖θ‖² is smallest on its orbit."
    makers = {
        NORM: partial(_render_norm, parameters),
        BALANCE: partial(render_charges, BALANCE, factors, parameters, owner, summary),
    }
    if minimum.is_closed:
        own = (minimum, parameters, owner)
        closed = {
            MECHANISM: partial(render_minimum, MECHANISM, *own, "R(θ), the smallest ‖θ‖² on the orbit of a point."),
            BALANCED: partial(
                render_minimiser, BALANCED, *own, "A point of smallest norm on the orbit of a point, or its closure."
            ),
        }
        makers = {**closed, **makers}
    return {name: SourceFunction(name, maker) for name, maker in makers.items()}


def _render_norm(parameters: Mapping[str, Shape]) -> str:
    body = Statements(("point",))
    terms = []
    for name, shape in parameters.items():
        axes = f"dim={tuple(range(-len(shape), 0))}" if shape else ""
        terms.append(f"{body.read(name)}.square()" + (f".sum({axes})" if shape else ""))
    lines = [*body.lines, *fold_statement("return ", " + ".join(terms))]
    return function_source(
        f"{NORM}(point: dict[str, Tensor])",
        "‖θ‖² of a point.",
        [point_entry(parameters)],
        "tensor ``(*batch)``.",
        lines,
        result="Tensor",
    )
