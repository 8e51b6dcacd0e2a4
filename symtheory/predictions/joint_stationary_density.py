"""Stationary law of several coordinates that one linear regression couples, under label noise."""

from __future__ import annotations

from functools import partial

import sympy as sp

from symtheory.codegen.statements import Statements, function_source
from symtheory.predictions.equation import equation
from symtheory.predictions.fibre_minimum import POSITIVE
from symtheory.predictions.formula import Formula
from symtheory.predictions.joint_matrix_moments import MECHANISM, joint_matrix_moments
from symtheory.predictions.matrix_step import matrix_step
from symtheory.predictions.prediction import Assumption, Prediction
from symtheory.predictions.quotient_diffusion import LEVERAGE, QuotientDiffusion, quotient_diffusion
from symtheory.predictions.source_function import SourceFunction
from symtheory.predictions.stationary_density import BACK, density_relations, generalized_gamma
from symtheory.predictions.subject import Subject
from symtheory.predictions.symbols import ETA, PREDICTOR, SIGMA, TARGET

MARGINAL, MARGINALS = f"{MECHANISM}_marginal", f"{MECHANISM}_marginals"
KERNEL, BEND, EXCESS = f"{MECHANISM}_kernel", f"{MECHANISM}_bend", f"{MECHANISM}_excess"
DRIFT, DIFFUSION, LEVERAGES = f"{MECHANISM}_drift", f"{MECHANISM}_diffusion", f"{MECHANISM}_leverages"
MEAN, COVARIANCE, GAUGE = f"{MECHANISM}_mean", f"{MECHANISM}_covariance", f"{MECHANISM}_gauge"

SOURCE = "derived here from the step's conditional moments; mechanism as in Ziyin et al. (2402.07193)"
ASSUMPTIONS = (
    "loss ½(x·w − y − σξ)² with fresh standard normal ξ at every step, plain SGD, one sample a step (for a mean over "
    "B samples σ²/B replaces σ²)",
    "some w = y fits all targets, so that no noise but that of the labels is left at the minimum",
    "balanced gauge: the noise has contracted all charges to zero",
    "every w keeps the sign it started with; stated for w > 0",
    "stationarity has been reached",
)


def derive(subject: Subject) -> Prediction:
    """One of three laws of w ∈ R^d, as η → 0 at fixed T = ησ², X = E xxᵀ the Gram matrix of the features; for a product
    of two matrices that of ``joint_matrix_moments``.

    First, X diagonal: the coordinates are independent, each with the law of a single one, whose features drop out.
    Second, X arbitrary and k(w) = ‖∇φ‖² proportional to w: the zero-flux condition has a potential, in which features
    enter by ρ = X⁻¹ diag(X) alone; the coordinates are independent although the features are correlated. Third,
    otherwise no potential: mean and covariance to leading order in T. Raises ``CalculusError`` for a graph that mixes
    coordinates and ``DerivationError`` as ``quotient_diffusion`` does.
    """
    step = matrix_step(subject)
    if step is not None:
        return joint_matrix_moments(subject, step)
    diffusion = quotient_diffusion(subject.coordinate)
    if diffusion.log_density is None:
        return _gaussian(diffusion, subject.name)
    return _closed(diffusion, diffusion.log_density, subject.name)


def _closed(diffusion: QuotientDiffusion, log_density: sp.Expr, name: str) -> Prediction:
    gamma = generalized_gamma(log_density)
    shape = "" if gamma is None else f"{sp.expand((gamma[0] + 1) / gamma[2]).subs(BACK)} > 0 for every coordinate: "
    numbers = {"y": TARGET, "rho": LEVERAGE, "eta": ETA, "sigma": SIGMA}
    marginal = Formula(
        log_density.subs(BACK), "log p(w) of one coordinate, up to a constant.", {"w": PREDICTOR}, numbers
    )
    return Prediction(
        mechanism=MECHANISM,
        title="Joint stationary density under label noise",
        statement=sp.Tuple(*density_relations(log_density, gamma)),
        observable="w over independent replicas after relaxation, several coefficients of one linear regression",
        assumptions=(
            *(Assumption(text, True) for text in ASSUMPTIONS),
            Assumption(f"{shape or 'integrable: '}else there is no stationary density", True),
        ),
        order="leading order in eta at fixed eta*sigma**2",
        measure="the product of dw over all coordinates, w > 0",
        source=SOURCE,
        formulas={
            MECHANISM: SourceFunction(MECHANISM, _joint_source),
            MARGINALS: SourceFunction(MARGINALS, _marginals_source),
            MARGINAL: marginal,
            **_common(diffusion),
        },
        parametrization=name,
        notes=(
            "w, y: one coordinate and its target; all coordinates are independent, whatever the features",
            "rho: entry of X^(-1)*diag(X), X the Gram matrix of the features; 1 where they are uncorrelated",
            "the zero-flux condition has a potential for every X",
        ),
    )


def _gaussian(diffusion: QuotientDiffusion, name: str) -> Prediction:
    temperature = ETA * SIGMA**2
    kernel = diffusion.kernel.subs(POSITIVE, PREDICTOR)
    weighted = sp.Symbol("s", real=True)
    return Prediction(
        mechanism=MECHANISM,
        title="Joint stationary mean and covariance under label noise",
        statement=sp.Tuple(
            equation(sp.Function("E")(PREDICTOR), TARGET + temperature / 2 * weighted),
            equation(sp.Function("Var")(PREDICTOR), temperature / 2 * kernel.subs(PREDICTOR, TARGET)),
        ),
        observable="w over independent replicas after relaxation, several coefficients of one linear regression",
        assumptions=(
            *(Assumption(text, True) for text in ASSUMPTIONS),
            Assumption("fluctuations of w small beside w", True),
        ),
        order="leading order in eta*sigma**2, and in eta",
        source=SOURCE,
        formulas=_common(diffusion),
        parametrization=name,
        notes=(
            "w, y: one coordinate and its target; different coordinates are uncorrelated to this order",
            f"s: entry of X^(-1)*diag(X)*v, v = {diffusion.excess.subs(POSITIVE, TARGET)} per coordinate, X the Gram "
            "matrix of the features",
            "no closed density for correlated features, for the zero-flux condition has a curl; where X is diagonal "
            "the coordinates are independent, each with its stationary_density",
        ),
    )


def _common(diffusion: QuotientDiffusion) -> dict[str, Formula | SourceFunction]:
    point = {str(symbol): value.subs(BACK) for symbol, value in diffusion.gauge.items()}
    predictor = {"w": PREDICTOR}

    def formula(expression: sp.Expr, meaning: str) -> Formula:
        return Formula(expression.subs(POSITIVE, PREDICTOR), meaning, predictor)

    sources = {DRIFT: _drift_source, DIFFUSION: _diffusion_source, LEVERAGES: _leverages_source}
    sources |= {MEAN: _mean_source, COVARIANCE: _covariance_source}
    return {
        KERNEL: formula(diffusion.kernel, "k(w), |∇φ|² at the balanced point."),
        BEND: formula(diffusion.bend, "q(w), ½ ∇φᵀ∇²φ∇φ at the balanced point."),
        EXCESS: formula(diffusion.excess, "2q/k − k', the noise-induced part of the zero-flux condition."),
        GAUGE: Formula(point, "The balanced point over w > 0.", predictor),
        **{key: SourceFunction(key, make) for key, make in sources.items()},
    }


W, Y = (f"{name}: {what}, tensor ``(*batch, d)``." for name, what in (("w", "coefficients"), ("y", "their targets")))
GRAM_ENTRY = "gram: X = E xxᵀ of the features, tensor ``(*batch, d, d)``."
NUMBERS = ["eta: step, a number.", "sigma: label noise, a number; over the root of B for batches of B samples."]


def _source(name: str, arguments: str, summary: str, returns: str, steps: dict[str, str], result: str) -> str:
    """A function whose body assigns ``steps`` in turn and returns ``result``."""
    entries = {"w": W, "y": Y, "gram": GRAM_ENTRY, "eta": NUMBERS[0], "sigma": NUMBERS[1]}
    names = arguments.split()
    body = Statements(names)
    for variable, text in steps.items():
        body.assign(variable, text)
    body.assign("result", result)
    body.lines.append("    return result")
    typed = ", ".join(f"{key}: {'float' if key in ('eta', 'sigma') else 'Tensor'}" for key in names)
    described = [entries[key] for key in names]
    return function_source(f"{name}({typed})", summary, described, returns, body.lines, SOURCE, result="Tensor")


_leverages_source = partial(
    _source,
    LEVERAGES,
    "gram",
    "X⁻¹ diag(X), one number a coordinate.",
    "tensor ``(*batch, d)``.",
    {"squares": "gram.diagonal(dim1=-2, dim2=-1)"},
    "torch.linalg.solve(gram, squares.unsqueeze(-1)).squeeze(-1)",
)

_marginals_source = partial(
    _source,
    MARGINALS,
    "w y gram eta sigma",
    "log p of every coordinate, up to constants; they are independent.",
    "tensor ``(*batch, d)``.",
    {},
    f"{MARGINAL}(w, y, {LEVERAGES}(gram), eta, sigma)",
)

_joint_source = partial(
    _source,
    MECHANISM,
    "w y gram eta sigma",
    "log p(w) up to a constant, for w > 0, with respect to dw.",
    "tensor ``(*batch)``.",
    {},
    f"{MARGINALS}(w, y, gram, eta, sigma).sum(-1)",
)

_drift_source = partial(
    _source,
    DRIFT,
    "w y gram eta sigma",
    "Mean change of w per step over η.",
    "tensor ``(*batch, d)``.",
    {
        "pull": "(gram @ (w - y).unsqueeze(-1)).squeeze(-1)",
        "squares": "gram.diagonal(dim1=-2, dim2=-1)",
    },
    f"eta * sigma**2 * squares * {BEND}(w) - {KERNEL}(w) * pull",
)

_diffusion_source = partial(
    _source,
    DIFFUSION,
    "w gram eta sigma",
    "Mean products of changes of w per step over η.",
    "tensor ``(*batch, d, d)``.",
    {"kernel": f"{KERNEL}(w)"},
    "eta * sigma**2 * gram * kernel.unsqueeze(-1) * kernel.unsqueeze(-2)",
)

_mean_source = partial(
    _source,
    MEAN,
    "y gram eta sigma",
    "Mean of w to leading order in ησ².",
    "tensor ``(*batch, d)``.",
    {
        "induced": f"gram.diagonal(dim1=-2, dim2=-1) * {EXCESS}(y)",
        "shift": "torch.linalg.solve(gram, induced.unsqueeze(-1)).squeeze(-1)",
    },
    "y + eta * sigma**2 / 2 * shift",
)

_covariance_source = partial(
    _source,
    COVARIANCE,
    "y gram eta sigma",
    "Covariance of w to leading order in ησ²: ησ² (2 − ηKX)⁻¹K with K = diag k(y).",
    "tensor ``(*batch, d, d)``.",
    {
        "kernel": f"torch.diag_embed({KERNEL}(y))",
        "left": "2 * torch.eye(y.shape[-1], dtype=y.dtype, device=y.device) - eta * kernel @ gram",
    },
    "eta * sigma**2 * torch.linalg.solve(left, kernel)",
)
