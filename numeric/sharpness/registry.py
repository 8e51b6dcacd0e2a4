"""All measures by name, each with the options that a table of many measures gives it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from numeric.errors import OptionError
from numeric.sharpness.blocks.blocks import Blocks
from numeric.sharpness.fisher.basin_mass import BasinMass
from numeric.sharpness.fisher.noise_alignment import FisherNoiseAlignment
from numeric.sharpness.fisher.pac_bayes import PacBayes
from numeric.sharpness.fisher.sharpness import FisherSharpness
from numeric.sharpness.fisher.stationary import StationaryLoss
from numeric.sharpness.flatness.relative_flatness import RelativeFlatness
from numeric.sharpness.gradient_noise.alignment import NoiseAlignment
from numeric.sharpness.gradient_noise.batch_sharpness import BatchSharpness
from numeric.sharpness.hessian.eigenvalues import TopEigenvalues
from numeric.sharpness.hessian.trace import HessianTrace
from numeric.sharpness.measure import Measure
from numeric.sharpness.perturbation.average import Average
from numeric.sharpness.perturbation.worst_case import WorstCase
from numeric.sharpness.quotient.geodesic import Geodesic


@dataclass(frozen=True)
class Settings:
    """What measures of one table share.

    rho: radius of every ball, dimensionless in adaptive and geodesic ones. eta, batch_size: of the training that the
    model came from; prior_variance: of the PAC-Bayes prior N(0, σ²). Measures that need what is None are left out.
    """

    rho: float = 0.1
    blocks: Blocks | None = None
    eta: float | None = None
    batch_size: int | None = None
    prior_variance: float | None = None


Factory = Callable[[Settings], Measure]


def _ball(kind: type[Average] | type[WorstCase], settings: Settings, **options: object) -> Measure:
    return kind(settings.rho, **options)  # type: ignore[arg-type]


def _geodesic(settings: Settings, **options: object) -> Measure:
    if settings.blocks is None:
        raise OptionError("no block of this model is bound: pass blocks, such as attention_blocks(model)")
    return Geodesic(settings.blocks, settings.rho, **options)  # type: ignore[arg-type]


def _of_training(kind: Callable[[float, int], Measure], settings: Settings) -> Measure:
    if settings.eta is None or settings.batch_size is None:
        raise OptionError("the step and the batch size of the training are not given: pass both")
    return kind(settings.eta, settings.batch_size)


def _pac_bayes(settings: Settings) -> Measure:
    if settings.prior_variance is None:
        raise OptionError("the prior's variance is not given: pass one that was fixed without the data")
    return PacBayes(settings.prior_variance)


def _fixed(measure: Measure) -> Factory:
    return lambda settings: measure


MEASURES: Mapping[str, Factory] = {
    "lambda_max": _fixed(TopEigenvalues()),
    "top_eigenvalues": _fixed(TopEigenvalues(k=5)),
    "hessian_trace": _fixed(HessianTrace()),
    "average": partial(_ball, Average),
    "average_adaptive": partial(_ball, Average, adaptive="element"),
    "worst_case": partial(_ball, WorstCase),
    "worst_case_linf": partial(_ball, WorstCase, norm="linf"),
    "worst_case_adaptive": partial(_ball, WorstCase, adaptive="element"),
    "worst_case_adaptive_linf": partial(_ball, WorstCase, adaptive="element", norm="linf"),
    "worst_case_filter": partial(_ball, WorstCase, adaptive="filter"),
    "worst_case_logit_normalized": partial(_ball, WorstCase, adaptive="element", logit_normalized=True),
    "geodesic_mixed": partial(_geodesic, metric="mixed"),
    "geodesic_invariant": partial(_geodesic, metric="invariant"),
    "geodesic_average_mixed": partial(_geodesic, metric="mixed", kind="average"),
    "geodesic_average_invariant": partial(_geodesic, metric="invariant", kind="average"),
    "relative_flatness": _fixed(RelativeFlatness()),
    "batch_sharpness": _fixed(BatchSharpness()),
    "noise_alignment_hessian": _fixed(NoiseAlignment()),
    "noise_alignment_fisher": _fixed(FisherNoiseAlignment()),
    "fisher_trace": _fixed(FisherSharpness("trace")),
    "fisher_lambda_max": _fixed(FisherSharpness("lambda_max")),
    "fisher_trace_empirical": _fixed(FisherSharpness("trace", "empirical")),
    "fisher_trace_diagonal": _fixed(FisherSharpness("trace", "diagonal")),
    "fisher_trace_kfac": _fixed(FisherSharpness("trace", "kfac")),
    "stationary_loss": partial(_of_training, StationaryLoss),
    "basin_mass": partial(_of_training, BasinMass),
    "pac_bayes": _pac_bayes,
}
"""Name → measure for given settings. One that needs more than they hold raises OptionError with what to pass."""


def choose(names: Sequence[str]) -> dict[str, Factory]:
    """The measures of these names, all where none is given. Raises OptionError for a name that does not exist."""
    unknown = [name for name in names if name not in MEASURES]
    if unknown:
        raise OptionError(f"there is no measure '{unknown[0]}': choose from {', '.join(MEASURES)}")
    return {name: MEASURES[name] for name in dict.fromkeys(names or MEASURES)}
