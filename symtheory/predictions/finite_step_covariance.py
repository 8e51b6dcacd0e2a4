"""Covariance of SGD around a minimum at a finite step, where continuous time is far off."""

from __future__ import annotations

from functools import cache, partial

import sympy as sp

from symtheory.codegen.statements import Statements, function_source
from symtheory.graph.computation_graph import ComputationGraph
from symtheory.graph.node import Node
from symtheory.graph.operations.leaf import Constant, Parameter
from symtheory.predictions.equation import equation
from symtheory.predictions.formula import Formula
from symtheory.predictions.minibatch_second_moments import minibatch_relation, minibatch_source, sampling_factor
from symtheory.predictions.prediction import Assumption, Prediction
from symtheory.predictions.source_function import SourceFunction
from symtheory.predictions.stationary_second_moments import (
    CURVATURE,
    MOMENTUM,
    OTHER,
    continuous_factor,
    largest_curvature,
    matrix_relation,
    moment_factor,
    with_positive_factors,
)
from symtheory.predictions.subject import Subject
from symtheory.predictions.symbols import ETA, SIGMA

MECHANISM = "finite_step_covariance"
CONTINUOUS = f"{MECHANISM}_continuous"
FACTOR, CONTINUOUS_FACTOR = f"{MECHANISM}_factor", f"{MECHANISM}_continuous_factor"
LABEL_NOISE = f"{MECHANISM}_label_noise"
MINIBATCH = f"{MECHANISM}_minibatch"

BATCH = sp.Symbol("B", positive=True)
"""Samples a step."""

FLAT = 1000
"""Roundings of the largest curvature, below which a direction counts as flat."""

SOURCE = "derived here from one linear step"


def derive(subject: Subject) -> Prediction:
    """HΣ + ΣH − ηHΣH = ηC around a minimum, exact where the predictor is affine in its parameters and the loss square.

    H is the Hessian there, C the covariance of the batch gradient. The two matrices are read off a trained model: the
    statement needs nothing of the graph but whether it is affine, and how many directions its orbits leave flat.
    """
    affine = is_affine(subject.graph)
    flat = sp.sympify(sum((factor.dimension for factor in subject.group), sp.Integer(0)))
    return Prediction(
        mechanism=MECHANISM,
        title="Covariance at a finite step",
        statement=sp.Tuple(
            matrix_relation(),
            equation(sp.Symbol("Sigma_ij"), moment_factor().subs(MOMENTUM, 0) * sp.Symbol("C_ij")),
            equation(sp.Symbol("Sigma_ii"), label_noise_variance()),
            minibatch_relation(),
        ),
        observable="parameters over independent replicas after relaxation, around the minimum where they started",
        assumptions=(
            Assumption(
                "the noise of the gradient is additive, its covariance C the same wherever θ moves; for the last "
                "relation it is that of minibatches, drawn for each step by itself",
                True,
            ),
            Assumption(
                "SGD at a constant step η, with heavy-ball momentum μ; the first two relations are those of μ = 0", True
            ),
            Assumption(f"η times the largest curvature is below {largest_curvature()}", True),
            Assumption("stationarity has been reached, in every direction that the statement is used for", True),
            *_of_the_graph(affine, flat),
        ),
        order="exact" if affine else "leading order in C (in sigma**2 for label noise) at any fixed eta",
        source=SOURCE,
        formulas={
            MECHANISM: SourceFunction(MECHANISM, _covariance),
            CONTINUOUS: SourceFunction(CONTINUOUS, _continuous),
            FACTOR: Formula(
                moment_factor(), "Σ_ij/C_ij between two eigenvectors of the Hessian.", _CURVATURES, _SETTINGS
            ),
            CONTINUOUS_FACTOR: Formula(continuous_factor(), "The same in continuous time.", _CURVATURES, _SETTINGS),
            MINIBATCH: SourceFunction(MINIBATCH, partial(minibatch_source, MINIBATCH, SOURCE)),
            LABEL_NOISE: Formula(
                label_noise_variance(),
                "Variance along an eigenvector of the Hessian under label noise, without weight decay.",
                {"h": CURVATURE},
                {"eta": ETA, "sigma": SIGMA, "batch_size": BATCH, "momentum": MOMENTUM},
            ),
        },
        parametrization=subject.name,
        notes=(
            "H: Hessian of the loss at the minimum, plus λ on the diagonal with weight decay λ; "
            "Sigma: covariance of θ; C: covariance of the batch gradient",
            "Sigma_ij, C_ij: entries in the eigenbasis of H, h and k the eigenvalues i and j",
            "Sigma_ii: for label noise sigma on ½r² at zero loss, where C = σ²H/B (B: samples a step)",
            "C of minibatches grows with Sigma, and so by a share of order ηh: C_1 is the covariance of one sample's "
            "gradient at the minimum, S the mean over samples of (H_i - H)*Sigma*(H_i - H), H_i the sample's Hessian",
            f"f = {sampling_factor(True)} for B of N samples drawn with replacement, {sampling_factor(False)} without; "
            "shuffled epochs are neither, their steps depend on each other",
        ),
    )


_CURVATURES = {"h": CURVATURE, "k": OTHER}
_SETTINGS = {"eta": ETA, "momentum": MOMENTUM}


def _of_the_graph(affine: bool, flat: sp.Expr) -> tuple[Assumption, ...]:
    if affine:
        return (Assumption("squared loss: the predictor is affine in θ, so that the loss is quadratic in it", True),)
    orbits = f"; the {flat} directions along orbits are flat" if flat != 0 else ""
    return (
        Assumption("fluctuations so small that the loss is quadratic where they reach", True),
        Assumption(f"stated on the range of H, the directions with curvature{orbits}", True),
    )


def is_affine(graph: ComputationGraph) -> bool:
    """Whether the predictor is affine in all parameters together: its differential contains none of them."""
    tangents = {name: Node(Constant(name, shape), ()) for name, shape in graph.parameters.items()}
    waiting = [graph.differential(tangents)]
    seen: set[int] = set()
    while waiting:
        node = waiting.pop()
        if node is None or id(node) in seen:
            continue
        if isinstance(node.operation, Parameter):
            return False
        seen.add(id(node))
        waiting.extend(node.operands)
    return True


@cache
def label_noise_variance() -> sp.Expr:
    """Σ_ii for C = σ²H/B, which is diagonal where H is: σ²h/B times the factor of a direction with itself."""
    return with_positive_factors(moment_factor().subs(OTHER, CURVATURE) * SIGMA**2 * CURVATURE / BATCH)


def _covariance() -> str:
    return _covariance_source(MECHANISM, FACTOR, "Stationary covariance of θ at a finite step.")


def _continuous() -> str:
    return _covariance_source(CONTINUOUS, CONTINUOUS_FACTOR, "The same in continuous time, for comparison.")


def _covariance_source(name: str, factor: str, summary: str) -> str:
    body = Statements(("hessian", "noise", "eta", "weight_decay", "momentum"))
    body.assign("curvatures, vectors", "torch.linalg.eigh(hessian)")
    body.assign("curvatures", "curvatures + weight_decay")
    body.assign("flat", f"{FLAT} * torch.finfo(curvatures.dtype).eps * curvatures.abs().amax(-1, keepdim=True)")
    body.assign("curved", "curvatures > flat")
    body.assign("both", "curved.unsqueeze(-1) & curved.unsqueeze(-2)")
    # Flat directions get some curvature first: a gradient through a division by zero would be NaN where it is unused.
    body.assign("safe", "torch.where(curved, curvatures, torch.ones_like(curvatures))")
    body.assign("factor", f"{factor}(safe.unsqueeze(-1), safe.unsqueeze(-2), eta, momentum)")
    body.assign("rotated", "vectors.mT @ noise @ vectors")
    body.assign("covariance", "torch.where(both, factor * rotated, torch.zeros_like(rotated))")
    body.lines.append("    return vectors @ covariance @ vectors.mT")
    return function_source(
        f"{name}(hessian: Tensor, noise: Tensor, eta: float, weight_decay: float = 0.0, momentum: float = 0.0)",
        summary,
        [
            "hessian: H of the loss without the decay term, symmetric, tensor ``(*batch, D, D)``.",
            "noise: C, covariance of the batch gradient, tensor ``(*batch, D, D)``.",
            "eta: step, a number.",
            "weight_decay: λ, a number.",
            "momentum: μ of the heavy ball, a number in [0, 1).",
        ],
        "tensor ``(*batch, D, D)``; zero in flat directions, where there is no stationary law.",
        body.lines,
        SOURCE,
        result="Tensor",
    )
