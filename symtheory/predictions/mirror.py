"""Mirror flow: gradient descent on redundant parameters minimises a Bregman divergence among the solutions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sympy as sp
from sympy.integrals.manualintegrate import manualintegrate

from symtheory.errors import CalculusError, CertificateError, DerivationError
from symtheory.graph.elementwise import ElementwiseModel
from symtheory.predictions.equation import equation
from symtheory.predictions.formula import Formula
from symtheory.predictions.leaf import LeafFlow, leaf_flow
from symtheory.predictions.leaf_scale import homogeneous_degree, scale_of_point, shrinkage_rate
from symtheory.predictions.prediction import Assumption, Prediction
from symtheory.predictions.quadrature import peel
from symtheory.predictions.separable_flow import separable_flow
from symtheory.predictions.subject import Subject
from symtheory.predictions.symbols import ALPHA, ETA, LAMBDA, MIRROR, PREDICTOR

MECHANISM = "mirror"
SCALE, SHRINKAGE, DECAYED = "mirror_scale", "mirror_shrinkage", "mirror_decayed_scale"

SLOPE = sp.Symbol("g", real=True)
"""Gradient of the batch loss in w, one coordinate of it."""

TIME = sp.Symbol("t", nonnegative=True)
"""Flow time ηk."""


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
    along a leaf of fixed charges (``leaf_flow``), or along the curve where every parameter moves by itself; where τ(w) is elementary, Q is given, else the pair w(τ), τ.
    Raises ``DerivationError`` where the leaves are no curves or no closed form is found.
    Source: Woodworth et al. 2020 (2002.09277); Li et al. 2022 (2207.04036).
    """
    flow = _flow(model, charges)
    scales = _Scales.of(model, charges, flow)
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
        statement=sp.Tuple(*relations, *scales.relations),
        observable="distance of Q'(w) − Q'(0) from the row space of X (KKT residual) at the end of gradient descent; with "
        "the last scale, of SGD; with the decayed scale, of training with weight decay",
        assumptions=(
            Assumption(f"gradient flow, or gradient descent with a small step; no noise, no momentum{scales.allowed}", True),
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


@dataclass(frozen=True)
class _Scales:
    """What a prediction says about the scale of its leaf during training."""

    relations: tuple[sp.Eq, ...]
    formulas: dict[str, Formula]
    notes: tuple[str, ...]

    @classmethod
    def of(cls, model: ElementwiseModel, charges: Sequence[sp.Expr], flow: LeafFlow) -> _Scales:
        relations, notes, formulas = [], [], {}
        scale = scale_of_point(charges, flow.start)
        if scale is not None:
            point = {str(symbol): symbol for symbol in model.coordinates}
            meaning = "α of the leaf through a point, from its charges."
            formulas[SCALE] = Formula(scale, meaning, dictionaries={"point": point})
        try:
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
    def source(self) -> str:
        cited = "; for SGD Pesme et al. 2021 (2106.09524)" if SHRINKAGE in self.formulas else ""
        return f"{cited}; for weight decay derived here" if DECAYED in self.formulas else cited


def _product(factor: sp.Expr) -> sp.Product:
    """The product of a factor in g over the steps."""
    step, steps = sp.symbols("t T", integer=True)
    return sp.Product(factor.subs(SLOPE, sp.IndexedBase("g", real=True)[step]), (step, 0, steps - 1))


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
