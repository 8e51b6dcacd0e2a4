"""Mirror flow: gradient descent on redundant parameters minimises a Bregman divergence among the solutions."""

from __future__ import annotations

from collections.abc import Sequence

import sympy as sp
from sympy.integrals.manualintegrate import manualintegrate

from symtheory.errors import CalculusError, CertificateError, DerivationError
from symtheory.graph.elementwise import ElementwiseModel
from symtheory.predictions.equation import equation
from symtheory.predictions.formula import Formula
from symtheory.predictions.leaf import LeafFlow, leaf_flow
from symtheory.predictions.moving_scale import MovingScale
from symtheory.predictions.prediction import Assumption, Prediction
from symtheory.predictions.quadrature import peel
from symtheory.predictions.separable_flow import separable_flow
from symtheory.predictions.subject import Subject
from symtheory.predictions.symbols import ALPHA, MIRROR, PREDICTOR

MECHANISM = "mirror"


def derive(subject: Subject) -> Prediction:
    """See ``mirror``; ``DerivationError`` for a graph that mixes coordinates, with what the commutator test says."""
    try:
        model = subject.coordinate
    except CalculusError as error:
        raise DerivationError(_without_coordinates(subject, str(error))) from error
    return mirror(model, subject.quadratic_charges(), subject.name)


def _without_coordinates(subject: Subject, reason: str) -> str:
    """Why there is no prediction for a graph that mixes coordinates: its fields do not commute, or it is not known."""
    from symtheory.symmetry.certificate import commutator  # only here, for it imports numpy

    try:
        found = commutator(subject.graph)
    except CertificateError as error:
        return f"{reason}; whether w follows a mirror flow was not tested: {error}"
    if not found.commutes:
        return f"no mirror flow of w: {found}"
    return f"{reason}; {found}, so that w follows a mirror flow, but no potential in closed form is derived"


def mirror(model: ElementwiseModel, charges: Sequence[sp.Expr], name: str) -> Prediction:
    """w follows the mirror flow of Q with Q'' = (JJᵀ)⁻¹ at the initial charges; it ends at the minimiser of Q.

    Coordinates of w depend on disjoint parameters, so the coordinate gradient fields commute. Q' is the flow time τ
    along a leaf of fixed charges (``leaf_flow``), or along the curve where every parameter moves by itself
    (``separable_flow``); where τ(w) is elementary, Q is given, else the pair w(τ), τ. Beside it stands what is known
    of the scale of the leaf while it moves (``MovingScale``).
    Raises ``DerivationError`` where the leaves are no curves or no closed form is found.
    Source: Woodworth et al. 2020 (2002.09277); Li et al. 2022 (2207.04036).
    """
    flow = _flow(model, charges)
    scales = MovingScale.of(model, charges, flow)
    potential, mirror_map = sp.Function("Q")(PREDICTOR), peel(flow.predictor, MIRROR, PREDICTOR)
    tau, scale = {"tau": MIRROR}, {"alpha": ALPHA}
    start = {str(symbol): value for symbol, value in flow.start.items()}
    formulas = {
        "mirror_inverse": Formula(flow.predictor, "w as a function of τ = Q'(w).", tau, scale),
        "mirror_slope": Formula(flow.slope, "dw/dτ = JJᵀ on the leaf.", tau, scale),
        "mirror_start": Formula(start, "The start on the leaf, w = 0.", scale),
    }
    ends = {key: end for key, end in (("low", flow.interval.start), ("high", flow.interval.end)) if end.is_finite}
    if ends:
        formulas["mirror_interval"] = Formula(ends, "The ends of the values that τ takes, where finite.", scale)
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
        statement=sp.Tuple(*relations, *scales.relations),
        observable="distance of Q'(w) − Q'(0) from the row space of X (KKT residual) at the end of gradient descent"
        f"{scales.observed}",
        assumptions=(
            Assumption(
                f"gradient flow, or gradient descent with a small step; no noise, no momentum{scales.allowed}", True
            ),
            Assumption(f"start at {_start(flow)} in every coordinate, where w = 0", True),
            Assumption("the loss depends on w through Xw and training reaches Xw = y", True),
        ),
        order="exact for gradient flow; end point to leading order in eta for gradient descent",
        source="Woodworth et al. 2020 (2002.09277); Li et al. 2022 (2207.04036)" + scales.source,
        formulas={**formulas, **scales.formulas},
        parametrization=name,
        notes=(
            "coordinates of w depend on disjoint parameters, so that their gradient fields commute, [∇w_i, ∇w_j] = 0",
            "Q'' = 1/JJᵀ at the initial charges, J = ∂w/∂θ of one coordinate; alpha is the scale of the start",
            "the end point minimises Σ_j Q(w_j) subject to Xw = y",
            f"τ = Q'(w) runs over {_range(flow)}",
            *scales.notes,
        ),
    )


def _flow(model: ElementwiseModel, charges: Sequence[sp.Expr]) -> LeafFlow:
    """The flow on a leaf, or where every parameter moves by itself; the reason is that of the leaf where both fail."""
    try:
        return leaf_flow(model, charges)
    except DerivationError:
        try:
            return separable_flow(model)
        except DerivationError:
            pass
        raise


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
