"""Mirror flow: gradient descent on redundant parameters minimises a Bregman divergence among the solutions."""

from __future__ import annotations

from collections.abc import Sequence

import sympy as sp
from sympy.integrals.manualintegrate import manualintegrate

from symtheory.errors import DerivationError
from symtheory.graph.elementwise import ElementwiseModel
from symtheory.predictions.equation import equation
from symtheory.predictions.formula import Formula
from symtheory.predictions.leaf import LeafFlow, leaf_flow
from symtheory.predictions.prediction import Assumption, Prediction
from symtheory.predictions.quadrature import peel
from symtheory.predictions.separable_flow import separable_flow
from symtheory.predictions.subject import Subject
from symtheory.predictions.symbols import ALPHA, MIRROR, PREDICTOR

MECHANISM = "mirror"


def derive(subject: Subject) -> Prediction:
    """See ``mirror``; ``CalculusError`` for a graph that mixes coordinates."""
    return mirror(subject.coordinate, subject.quadratic_charges(), subject.name)


def mirror(model: ElementwiseModel, charges: Sequence[sp.Expr], name: str) -> Prediction:
    """w follows the mirror flow of Q with Q'' = (JJᵀ)⁻¹ at the initial charges; it ends at the minimiser of Q.

    Coordinates of w depend on disjoint parameters, so the coordinate gradient fields commute. Q' is the flow time τ
    along a leaf of fixed charges (``leaf_flow``); where τ(w) is elementary, Q is given, else the pair w(τ), τ.
    Raises ``DerivationError`` where the leaves are no curves or no closed form is found.
    Source: Woodworth et al. 2020 (2002.09277); Li et al. 2022 (2207.04036).
    """
    flow = _flow(model, charges)
    potential, mirror_map = sp.Function("Q")(PREDICTOR), peel(flow.predictor, MIRROR, PREDICTOR)
    tau, scale = {"tau": MIRROR}, {"alpha": ALPHA}
    start = {str(symbol): value for symbol, value in flow.start.items()}
    formulas = {
        "mirror_inverse": Formula(flow.predictor, "w as a function of τ = Q'(w).", tau, scale),
        "mirror_slope": Formula(flow.slope, "dw/dτ = JJᵀ on the leaf.", tau, scale),
        "mirror_start": Formula(start, "The start on the leaf, w = 0.", scale),
    }
    if mirror_map is None:
        relations = [
            equation(sp.Function("w")(MIRROR), flow.predictor),
            equation(sp.Derivative(potential, PREDICTOR), MIRROR),
        ]
    else:
        relations = [equation(sp.Derivative(potential, PREDICTOR), mirror_map)]
        formulas[MECHANISM] = Formula(mirror_map, "τ = Q'(w).", {"w": PREDICTOR}, scale)
        closed = _potential(mirror_map, flow.predictor)
        if closed is not None:
            relations.insert(0, equation(potential, closed))
            formulas["mirror_potential"] = Formula(closed, "Q(w) with Q(0) = 0.", {"w": PREDICTOR}, scale)
    return Prediction(
        mechanism=MECHANISM,
        title="Mirror flow of gradient descent",
        statement=sp.Tuple(*relations),
        observable="end point of gradient descent: distance of Q'(w) − Q'(0) from the row space of X (KKT residual)",
        assumptions=(
            Assumption("gradient flow, or gradient descent with a small step; no noise, no momentum, no decay", True),
            Assumption(f"start at {_start(flow)} in every coordinate, where w = 0", True),
            Assumption("the loss depends on w through Xw and training reaches Xw = y", True),
        ),
        order="exact for gradient flow; end point to leading order in eta for gradient descent",
        source="Woodworth et al. 2020 (2002.09277); Li et al. 2022 (2207.04036)",
        formulas=formulas,
        parametrization=name,
        notes=(
            "Q'' = 1/JJᵀ at the initial charges, J = ∂w/∂θ of one coordinate; alpha is the scale of the start",
            "the end point minimises Σ_j Q(w_j) subject to Xw = y",
            f"τ = Q'(w) runs over {_range(flow)}",
        ),
    )


def _flow(model: ElementwiseModel, charges: Sequence[sp.Expr]) -> LeafFlow:
    """On a leaf of fixed charges, else parameter by parameter where φ is a sum of functions of one each."""
    try:
        return leaf_flow(model, charges)
    except DerivationError as error:
        try:
            return separable_flow(model)
        except DerivationError:
            raise error from None


def _potential(mirror_map: sp.Expr, predictor: sp.Expr) -> sp.Expr | None:
    """Q(w) = w τ(w) − ∫₀^τ(w) w(τ') dτ', by parts; None when the integral is not elementary."""
    conjugate = manualintegrate(predictor, MIRROR)
    if conjugate.has(sp.Integral):
        return None
    potential = PREDICTOR * mirror_map - conjugate.subs(MIRROR, mirror_map)
    return sp.expand(potential - potential.subs(PREDICTOR, 0))


def _start(flow: LeafFlow) -> str:
    return ", ".join(f"{symbol} = {value}" for symbol, value in flow.start.items())


def _range(flow: LeafFlow) -> str:
    return "all reals" if flow.interval == sp.S.Reals else f"({flow.interval.start}, {flow.interval.end})"
