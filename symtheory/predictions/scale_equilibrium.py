"""Weight decay against noise on a scale that the predictor does not see: where it settles, and how fast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import sympy as sp

from symtheory.codegen.charge_functions import render_charges
from symtheory.codegen.site_source import times_numbers
from symtheory.codegen.statements import Statements, function_source, point_entry
from symtheory.errors import DerivationError
from symtheory.graph.shapes import Shape
from symtheory.predictions.equation import equation
from symtheory.predictions.formula import Formula
from symtheory.predictions.prediction import Assumption, Prediction
from symtheory.predictions.source_function import SourceFunction
from symtheory.predictions.subject import Subject
from symtheory.predictions.symbols import ETA, LAMBDA
from symtheory.symmetry.rescaling import Rescaling
from symtheory.symmetry.scale import describe_scale, scales_of

MECHANISM = "scale_equilibrium"
SQUARE, SCALED = f"{MECHANISM}_square", f"{MECHANISM}_scaled"
SOURCE = "derived here; for the exact step Kunin et al. 2020 (2012.04728)"

RADIUS = sp.Symbol("r", positive=True)
"""r, the norm of the parameters that scale together."""

GRADIENT = sp.Symbol("norm_g", nonnegative=True)
"""‖g‖, the norm of the gradient in the parameters that scale together."""

GRADIENT_SQUARE = sp.Symbol("G", positive=True)
"""E‖ĝ‖² = r² E‖g‖², of the gradient at unit scale."""

SENSITIVITY = sp.Symbol("gamma", real=True)
"""d log G / d log r⁴ at the equilibrium: how far the mean square of the gradient follows the scale."""


@dataclass(frozen=True)
class ScaleLaw:
    """step: r² after one step, in r and ‖g‖; equilibrium: r⁴ where it rests; effective_step: η/r² there; rate: by which
    fraction a small deviation of r⁴ shrinks in a step."""

    step: sp.Expr
    equilibrium: sp.Expr
    effective_step: sp.Expr
    rate: sp.Expr


def scale_law() -> ScaleLaw:
    """What invariance under θ ↦ sθ says of one step θ' = (1 − ηλ) θ − ηg.

    The generator of the scale is the field θ itself, so that the gradient g of any loss of the predictor has ⟨g, θ⟩ =
    0, and the term linear in ηg drops out of ‖θ'‖². Differentiating L(sθ) = L(θ) in θ gives s ∇L(sθ) = ∇L(θ): at norm
    r the gradient is ĝ/r. With E‖ĝ‖² = G in the place of ‖ĝ‖² the step is a map of x = r². Its fixed point is the
    equilibrium, its slope there the rate, where G may follow the scale as r^{4γ}. Derived here.
    """
    theta, gradient, square, at_rest = sp.symbols("theta g x x_0", positive=True)
    moved = sp.Poly(((1 - ETA * LAMBDA) * theta - ETA * gradient) ** 2, theta, gradient)
    # The monomials stand for ⟨θ, θ⟩, ⟨θ, g⟩ and ⟨g, g⟩.
    norms = {(2, 0): RADIUS**2, (1, 1): sp.Integer(0), (0, 2): GRADIENT**2}
    step = sp.Add(*(sp.factor(coefficient) * norms[powers] for powers, coefficient in moved.terms()))
    mean_step = step.subs(GRADIENT, sp.sqrt(GRADIENT_SQUARE) / RADIUS).subs(RADIUS, sp.sqrt(square))
    fixed = sp.Poly(sp.expand(square * (square - mean_step)), square)  # a x² − b, so that x² = r⁴ = b/a
    equilibrium = -fixed.coeff_monomial(1) / fixed.coeff_monomial(square**2)
    followed = mean_step.subs(GRADIENT_SQUARE, GRADIENT_SQUARE * (square / at_rest) ** (2 * SENSITIVITY))
    slope = sp.diff(followed, square).subs(square, at_rest)
    return ScaleLaw(
        step=step,
        equilibrium=_positive_fraction(equilibrium),
        effective_step=sp.sqrt(sp.cancel(ETA**2 / equilibrium)),
        rate=_for_reading(sp.expand(1 - slope).subs(at_rest, sp.sqrt(equilibrium))),
    )


def _positive_fraction(expression: sp.Expr) -> sp.Expr:
    """The same, with a denominator that is positive for small η."""
    numerator, denominator = sp.fraction(sp.cancel(expression))
    sign = sp.sign(denominator.coeff(ETA, 0).as_coeff_Mul()[0])
    return sign * numerator / (sign * denominator)


def _for_reading(rate: sp.Expr) -> sp.Expr:
    """The same as the rate at γ = 0 times what γ makes of it."""
    without = sp.expand(sp.cancel(rate.subs(SENSITIVITY, 0)))
    return sp.cancel(rate / without) * without


def derive(subject: Subject) -> Prediction:
    """The law of every scale in the group; see ``scale_law``.

    Raises ``DerivationError`` where the group has none, or only such as scale parameters unequally.
    """
    scales = scales_of(subject.group)
    if not scales.found:
        reason = "; ".join(scales.refused) or "no factor of its group enlarges all the parameters that it moves"
        raise DerivationError(f"'{subject.name}' has no scale that the predictor does not see: {reason}")
    law = scale_law()
    return Prediction(
        mechanism=MECHANISM,
        title="Equilibrium of an invisible scale under weight decay",
        statement=sp.Tuple(
            equation(sp.Symbol("r'") ** 2, law.step),
            equation(RADIUS**4, law.equilibrium),
            equation(sp.Symbol("eta_eff"), law.effective_step),
            equation(sp.Symbol("rate"), law.rate),
        ),
        observable="r² of every scale and the squared gradient in its parameters, at every step",
        assumptions=(
            Assumption("plain SGD step θ' = (1 − ηλ)θ − ηg with λ > 0: no momentum, no preconditioner", True),
            Assumption("g is the gradient of a loss that depends on θ through the predictor alone", True),
            Assumption("the mean square G of the gradient at unit scale, ĝ = r g, is stationary", True),
            Assumption("for the rate: G follows the scale as r^(4 gamma), with gamma = 0 where it does not", True),
        ),
        order="r'² exact, for any batch and any step size; the others leading order in eta*lambda, where the "
        "fluctuation of r about its mean vanishes",
        source=SOURCE,
        formulas=_formulas(law, scales.found, subject.graph.parameters, subject.name),
        parametrization=subject.name,
        notes=(
            *map(describe_scale, scales.found),
            *scales.refused,
            "norm_g is the norm of the gradient in the same parameters, G = E(r² norm_g²)",
            "eta_eff = eta/r² is the step that the direction θ/r takes at the equilibrium",
            "rate: fraction by which a small deviation of r⁴ from the equilibrium shrinks in a step",
        ),
    )


def _formulas(
    law: ScaleLaw, scales: Sequence[Rescaling], parameters: Mapping[str, Shape], owner: str
) -> dict[str, Formula | SourceFunction]:
    square, gradient = sp.symbols("square gradient_square", positive=True)
    mean_square = {"mean_square": GRADIENT_SQUARE}
    numbers = {"eta": ETA, "weight_decay": LAMBDA}
    squares = partial(
        render_charges,
        SQUARE,
        factors=scales,
        parameters=parameters,
        owner=owner,
        summary="r² of every scale at a point; of a gradient, its square in the same parameters.",
        source=SOURCE,
    )
    return {
        MECHANISM: Formula(
            law.step.subs({RADIUS: sp.sqrt(square), GRADIENT: sp.sqrt(gradient)}),
            "r² after one step, from r² and the squared gradient in the same parameters.",
            {"square": square, "gradient_square": gradient},
            numbers,
        ),
        SQUARE: SourceFunction(SQUARE, squares),
        SCALED: SourceFunction(SCALED, partial(_scaled_source, scales, parameters)),
        f"{MECHANISM}_fourth_power": Formula(
            law.equilibrium, "r⁴ at equilibrium, from the mean square of r g.", mean_square, numbers
        ),
        f"{MECHANISM}_effective_step": Formula(
            law.effective_step, "η/r² at equilibrium, from the mean square of r g.", mean_square, numbers
        ),
        f"{MECHANISM}_rate": Formula(
            law.rate,
            "Fraction by which a small deviation of r⁴ shrinks in a step, from d log G / d log r⁴.",
            {"sensitivity": SENSITIVITY},
            numbers,
        ),
    }


def _scaled_source(scales: Sequence[Rescaling], parameters: Mapping[str, Shape]) -> str:
    """The point with every scale multiplied by a number."""
    body = Statements(("point", "factor"))
    for scale in scales:
        number = body.assign(body.names.unique(f"factor_{scale.name}"), f'factor["{scale.name}"]')
        for site in scale.sites:
            tensor = body.read(site.parameter)
            body.assign(tensor, times_numbers(site, tensor, number))
    moved = ", ".join(f'"{name}": {body.read(name)}' for name in body.parameters)
    body.lines.append(f"    return {{**point, {moved}}}")
    keys = ", ".join(f'"{scale.name}"' for scale in scales)
    return function_source(
        f"{SCALED}(point: dict[str, Tensor], factor: dict[str, Tensor])",
        "The point with every scale multiplied by a positive number; the predictor stays as it is.",
        [point_entry(parameters), f"factor: dict with {keys}, shaped as r² of a point."],
        "dict with the keys and shapes of point.",
        body.lines,
        SOURCE,
    )
