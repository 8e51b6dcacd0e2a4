"""Mirror flow: gradient descent on redundant parameters minimises a Bregman divergence among the solutions."""

from __future__ import annotations

from collections.abc import Sequence

import sympy as sp

from symtheory.graph.elementwise import ElementwiseModel
from symtheory.predictions.formula import Formula
from symtheory.predictions.leaf import LeafFlow, leaf_flow, peel
from symtheory.predictions.prediction import Assumption, Prediction
from symtheory.predictions.symbols import ALPHA, MIRROR, PREDICTOR

MECHANISM = "mirror"


def mirror(model: ElementwiseModel, charges: Sequence[sp.Expr], name: str) -> Prediction:
    """w follows the mirror flow of Q with Q'' = (JJᵀ)⁻¹ at the initial charges; it ends at the minimiser of Q.

    Coordinates of w depend on disjoint parameters, so the coordinate gradient fields commute. Q' is the flow time τ
    along a leaf of fixed charges (``leaf_flow``); where τ(w) is elementary, Q is given, else the pair w(τ), τ.
    Raises ``DerivationError`` where the leaves are no curves or SymPy finds no closed form.
    Source: Woodworth et al. 2020 (2002.09277); Li et al. 2022 (2207.04036).
    """
    flow = leaf_flow(model, charges)
    potential, mirror_map = sp.Function("Q")(PREDICTOR), peel(flow.predictor, MIRROR, PREDICTOR)
    kernel = sp.simplify(sp.diff(flow.predictor, MIRROR))
    tau, scale = {"tau": MIRROR}, {"alpha": ALPHA}
    start = {str(symbol): value for symbol, value in flow.start.items()}
    formulas = {
        "mirror_inverse": Formula(flow.predictor, "w as a function of τ = Q'(w).", tau, scale),
        "mirror_slope": Formula(kernel, "dw/dτ = JJᵀ on the leaf.", tau, scale),
        "mirror_start": Formula(start, "The start on the leaf, w = 0.", scale),
    }
    if mirror_map is not None:
        primitive = sp.integrate(mirror_map, PREDICTOR)
        relations = [sp.Eq(potential, primitive - primitive.subs(PREDICTOR, 0))]
        relations.append(sp.Eq(sp.Derivative(potential, PREDICTOR), mirror_map))
        formulas[MECHANISM] = Formula(mirror_map, "τ = Q'(w).", {"w": PREDICTOR}, scale)
        formulas["mirror_potential"] = Formula(relations[0].rhs, "Q(w) with Q(0) = 0.", {"w": PREDICTOR}, scale)
    else:
        relations = [
            sp.Eq(sp.Function("w")(MIRROR), flow.predictor),
            sp.Eq(sp.Derivative(potential, PREDICTOR), MIRROR),
        ]
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
            "the end point minimises Σ_j Q(w_j) subject to Xw = y",
            f"τ = Q'(w) runs over {_range(flow)}",
        ),
    )


def _start(flow: LeafFlow) -> str:
    return ", ".join(f"{symbol} = {value}" for symbol, value in flow.start.items())


def _range(flow: LeafFlow) -> str:
    return "all reals" if flow.interval == sp.S.Reals else f"({flow.interval.start}, {flow.interval.end})"
