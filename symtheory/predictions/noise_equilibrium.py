"""Noise equilibrium: where gradient noise leaves the charges of a symmetry group, and how fast it takes them there.

For a symmetric generator A one step of SGD changes the charge C = θᵀAθ by η² gᵀAg − (1 − (1 − ηλ)²) C, exactly. Its
mean vanishes in equilibrium. Gradients of a loss of the predictor move along an orbit as g(t) = exp(−tA) g: E[gᵀAg] is
−½ d/dt E‖g(t)‖²: the equilibrium is the gauge in which the trace of the gradient's second moment is least.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial

import sympy as sp

from symtheory.errors import DerivationError
from symtheory.predictions.noise_equilibrium_action import ArrayAction, CoordinateAction
from symtheory.predictions.noise_equilibrium_functions import common_sources
from symtheory.predictions.noise_equilibrium_names import MECHANISM, SOURCE
from symtheory.predictions.noise_equilibrium_normal import normal_inputs
from symtheory.predictions.noise_equilibrium_relations import Relations, balance_of_arrays, balance_of_coordinates
from symtheory.predictions.noise_equilibrium_shifts import affine_shifts, is_made_up
from symtheory.predictions.prediction import Assumption, Prediction
from symtheory.predictions.source_function import SourceFunction
from symtheory.predictions.subject import Subject
from symtheory.symmetry.coordinatewise_group import CoordinatewiseGroup
from symtheory.symmetry.edge_group import EdgeGroup
from symtheory.symmetry.factor import Factor
from symtheory.symmetry.group import SymmetryGroup
from symtheory.symmetry.rescaling import Rescaling
from symtheory.symmetry.translation import Translation

ASSUMPTIONS = (
    Assumption("plain SGD step θ' = (1 − ηλ)θ − ηg: no momentum, no preconditioner", True),
    Assumption("training stays near one w = φ(θ), and what gives this w is one orbit of the group", True),
    Assumption("the step is small: gauge and w fluctuate little about their means", True),
    Assumption("the noise is small: w relaxes faster than noise moves the point along its orbit", True),
    Assumption("label noise at zero residual: g = −σξ ∇φ, ξ independent of the inputs; or given gradients", True),
)
NOTES = (
    "E: mean over the noise of one step; eta²·(…) less the left side is the mean change of the charge in it",
    "the equilibrium is the point of its orbit where eta² E|g|² + (1 − (1 − eta·lambda)²)|theta|² is least; without "
    "decay, where the gradient's second moment has the least trace; unique up to rotations where it exists",
    "rates per step: generalized eigenvalues of eta² E⟨A_a g, A_b g⟩ + (1 − (1 − eta·lambda)²) ⟨A_a theta, A_b theta⟩ "
    "against ⟨A_a theta, A_b theta⟩ of the symmetric generators, the parts of A_a theta along rotations left out",
)
MADE_UP = (
    Assumption(
        "for shifts that biases make up for: fluctuations enclose no area on average, as when the noise is "
        "proportional to the Hessian",
        True,
    ),
)
SHIFTED = (
    "shifts of {names}, X(theta) = a + N theta, are made up for by biases and have no charge: label noise moves them "
    "by ⟨step, X⟩ = (eta²/2) E⟨g, N g⟩ − (1 − (1 − eta·lambda)²)/2 ⟨theta, X⟩, without decay to where what the weights "
    "behind read has mean zero, weighted by the noise; with them the least noise on an orbit need not be unique"
)
"""g is orthogonal to X at θ, and in the middle of a step X is X(θ) − (η/2) N g: this is left of the step along X."""
ORDER = "leading order in eta; the balance itself is exact for the mean of gᵀAg"
OBSERVABLE = "charges of independent replicas along training, started off balance"


def derive(subject: Subject) -> Prediction:
    """The balance of every factor with an indefinite symmetric generator.

    Raises ``DerivationError`` where there is none. Rotations are antisymmetric: gᵀAg = 0 for them, whatever the noise.
    A shift changes its charge by weight decay alone. A generator of one sign has a charge that noise only increases.
    """
    graph, group = subject.graph, subject.group
    factors = [factor for factor in group if isinstance(factor, EdgeGroup | Rescaling) and _is_indefinite(factor)]
    if factors:
        relations = balance_of_arrays(factors, graph) + normal_inputs(factors, graph)
        others = _others(group, factors)
        made_up = [factor for factor in others if isinstance(factor, Translation) and is_made_up(factor)]
        if made_up:
            names = ", ".join(factor.parameter for factor in made_up)
            relations += Relations((), (SHIFTED.format(names=names),), MADE_UP)
        return _prediction(subject, relations, ArrayAction(factors, others, graph.parameters, subject.name), 0)
    for factor in group:
        matrices = _indefinite_matrices(factor) if isinstance(factor, CoordinatewiseGroup) else []
        if isinstance(factor, CoordinatewiseGroup) and matrices:
            relations = balance_of_coordinates(subject.coordinate, matrices)
            turns = [matrix for matrix in factor.matrices if matrix.is_anti_symmetric()]
            action = CoordinateAction(factor, [*matrices, *turns], graph.parameters)
            return _prediction(subject, relations, action, len(next(iter(factor.shapes.values()))))
    raise DerivationError(_why_not(subject))


def _prediction(
    subject: Subject, relations: Relations, action: ArrayAction | CoordinateAction, rank: int
) -> Prediction:
    common = common_sources(subject.graph.parameters, rank)
    sources = cache(lambda: common | action.sources())
    return Prediction(
        mechanism=MECHANISM,
        title="Noise equilibrium of the charges",
        statement=sp.Tuple(*relations.equations) if len(relations.equations) > 1 else relations.equations[0],
        observable=OBSERVABLE,
        assumptions=(*ASSUMPTIONS, *relations.assumptions),
        order=ORDER,
        source=SOURCE,
        formulas={
            **{name: SourceFunction(name, partial(_entry, sources, name)) for name in (*common, *action.names)},
            **relations.formulas,
        },
        parametrization=subject.name,
        notes=(*relations.notes, *NOTES),
    )


def _entry(sources: Callable[[], dict[str, str]], name: str) -> str:
    return sources()[name]


def _is_indefinite(factor: Factor) -> bool:
    """Whether charges have either sign along an orbit: what enlarges some parameters shrinks others."""
    if isinstance(factor, EdgeGroup):
        return factor.has_charge
    return isinstance(factor, Rescaling) and len({sp.sign(site.exponent) for site in factor.sites}) > 1


def _others(group: SymmetryGroup, balanced: Sequence[Factor]) -> list[EdgeGroup | Translation]:
    """Rotations, along which gradients have no part and noise no effect; and shifts."""
    turns = [factor for factor in group if isinstance(factor, EdgeGroup) and factor not in balanced]
    return [*turns, *affine_shifts(group)]


def _indefinite_matrices(factor: CoordinatewiseGroup) -> list[sp.ImmutableMatrix]:
    """The symmetric generators with eigenvalues of both signs."""
    symmetric = [matrix for matrix in factor.matrices if matrix.is_symmetric()]
    return [matrix for matrix in symmetric if not (matrix.is_positive_semidefinite or matrix.is_negative_semidefinite)]


def _why_not(subject: Subject) -> str:
    if not any(factor.has_charge for factor in subject.group):
        return (
            f"'{subject.name}' has no rescaling and no change of basis: rotations are antisymmetric, so gᵀAg = 0 for "
            "them whatever the noise"
        )
    if all(isinstance(factor, Translation) for factor in subject.group if factor.has_charge):
        return f"the charges of '{subject.name}' are linear: noise leaves their mean alone, only weight decay moves it"
    return (
        f"the charges of '{subject.name}' are squared norms, which noise only increases: without weight decay there is "
        "no balance"
    )
