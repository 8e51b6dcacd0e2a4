"""The estimates of the Fisher information by name, each as the root of its pseudo-inverse."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from numeric.sharpness.fisher import estimators
from numeric.sharpness.fisher.diagonal_root import diagonal_root
from numeric.sharpness.fisher.estimators import Covectors
from numeric.sharpness.fisher.fisher_range import factor_parts, fisher_range
from numeric.sharpness.fisher.kronecker_root import kronecker_root
from numeric.sharpness.fisher.predictive import Predictive
from numeric.sharpness.fisher.root import Root
from numeric.sharpness.objective import Objective


@dataclass(frozen=True)
class RootOptions:
    """draws: labels drawn a sample. tolerance: relative singular value that counts as zero. probes: to be kept.

    equilibrated: parameters in units of their own, for covariant forms (see `fisher_range`).
    """

    draws: int = 1
    tolerance: float | None = None
    probes: int = 0
    equilibrated: bool = False


Estimator = Callable[[Objective, Predictive, RootOptions, torch.Generator], Root]


def _factored(covectors: Callable[[int], Covectors]) -> Estimator:
    def estimate(
        objective: Objective, predictive: Predictive, options: RootOptions, generator: torch.Generator
    ) -> Root:
        rows = covectors(options.draws)
        return fisher_range(
            objective,
            predictive,
            rows,
            generator,
            tolerance=options.tolerance,
            probes=options.probes,
            equilibrated=options.equilibrated,
        )

    return estimate


def _diagonal(covectors: Callable[[int], Covectors]) -> Estimator:
    def estimate(
        objective: Objective, predictive: Predictive, options: RootOptions, generator: torch.Generator
    ) -> Root:
        rows = factor_parts(objective, predictive, covectors(options.draws), generator)
        return diagonal_root(rows, options.tolerance)

    return estimate


def _kronecker(objective: Objective, predictive: Predictive, options: RootOptions, generator: torch.Generator) -> Root:
    return kronecker_root(objective, options.tolerance)


ESTIMATORS: Mapping[str, Estimator] = {
    "exact": _factored(lambda draws: estimators.exact),
    "sampled": _factored(estimators.sampled),
    "empirical": _factored(lambda draws: estimators.empirical),
    "diagonal": _diagonal(lambda draws: estimators.exact),
    "sampled_diagonal": _diagonal(estimators.sampled),
    "empirical_diagonal": _diagonal(lambda draws: estimators.empirical),
    "kfac": _kronecker,
}
