"""What a mirror flow says of its scale while that moves: under the steps of SGD, and under weight decay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sympy as sp

from symtheory.errors import DerivationError
from symtheory.graph.elementwise import ElementwiseModel
from symtheory.predictions.equation import equation
from symtheory.predictions.formula import Formula
from symtheory.predictions.leaf import LeafFlow
from symtheory.predictions.leaf_scale import homogeneous_degree, scale_of_point, shrinkage_rate
from symtheory.predictions.symbols import ALPHA, ETA, LAMBDA

SCALE, SHRINKAGE, DECAYED = "mirror_scale", "mirror_shrinkage", "mirror_decayed_scale"

SLOPE = sp.Symbol("g", real=True)
"""Gradient of the batch loss in w, one coordinate of it."""

TIME = sp.Symbol("t", nonnegative=True)
"""Flow time ηk."""


@dataclass(frozen=True)
class MovingScale:
    """What a prediction says about the scale of its leaf during training."""

    relations: tuple[sp.Eq, ...]
    formulas: dict[str, Formula]
    notes: tuple[str, ...]

    @classmethod
    def of(cls, model: ElementwiseModel, charges: Sequence[sp.Expr], flow: LeafFlow) -> MovingScale:
        relations, notes, formulas = [], [], {}
        scale = scale_of_point(charges, flow.start)
        if scale is not None:
            point = {str(symbol): symbol for symbol in model.coordinates}
            meaning = "α of the leaf through a point, from its charges."
            formulas[SCALE] = Formula(scale, meaning, dictionaries={"point": point})
        try:
            if scale is None:
                raise DerivationError("no charge tells the scale of a point")
            rate = shrinkage_rate(model, charges)
        except DerivationError as error:
            notes.append(f"no closed law for the scale that SGD ends at: {error}")
        else:
            factor = sp.Abs(1 - rate * ETA**2 * SLOPE**2)
            relations.append(equation(sp.Symbol("alpha_T") ** 2, ALPHA**2 * _product(factor)))
            formulas[SHRINKAGE] = Formula(
                factor, "Factor of α² in one step, g the gradient in w.", {"g": SLOPE}, {"eta": ETA}
            )
            notes.append(
                "SGD: alpha_T is the scale after T steps with gradients g_t in w; at that scale the KKT residual is of "
                "order eta², at the first one of order eta"
            )
        degree = homogeneous_degree(model)
        if degree is not None and any(value.has(ALPHA) for value in flow.start.values()):
            decayed = ALPHA * sp.exp(-LAMBDA * TIME)
            relations.append(equation(sp.Function("alpha")(TIME), decayed))
            formulas[DECAYED] = Formula(
                decayed, "α after time t = ηk under weight decay.", {"alpha": ALPHA}, {"decay": LAMBDA, "t": TIME}
            )
            notes.append(
                f"weight decay lambda: w is homogeneous of degree {degree}, so that exp(λt) θ follows the flow without "
                "decay in another time; Q' at the scale alpha(t) stays in the row space of X, at every t = eta k"
            )
        return cls(tuple(relations), formulas, tuple(notes))

    @property
    def allowed(self) -> str:
        """The end of the assumption on training."""
        beside = [text for name, text in ((SHRINKAGE, "minibatches"), (DECAYED, "decay")) if name in self.formulas]
        return f"; {' and '.join(beside)} only with the scale that is stated for them" if beside else ", no decay"

    @property
    def observed(self) -> str:
        """The end of the observable."""
        beside = [
            text
            for name, text in (
                (SHRINKAGE, "last scale, of SGD"),
                (DECAYED, "decayed scale, of training with weight decay"),
            )
            if name in self.formulas
        ]
        return "".join(f"; at the {text}" for text in beside)

    @property
    def source(self) -> str:
        cited = "; for SGD Pesme et al. 2021 (2106.09524)" if SHRINKAGE in self.formulas else ""
        return f"{cited}; for weight decay derived here" if DECAYED in self.formulas else cited


def _product(factor: sp.Expr) -> sp.Product:
    """The product of a factor in g over the steps."""
    step, steps = sp.symbols("t T", integer=True)
    return sp.Product(factor.subs(SLOPE, sp.IndexedBase("g", real=True)[step]), (step, 0, steps - 1))
