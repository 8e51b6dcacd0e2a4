"""The torch layer: train ensembles of generated models, record observables, compare with predictions."""

from __future__ import annotations

from numeric import errors, losses, sharpness
from numeric.comparison.check import check
from numeric.training import SGD, GradientDescent, Langevin, Optimizer, Runs, Step, observables, train

__all__ = [
    "SGD",
    "GradientDescent",
    "Langevin",
    "Optimizer",
    "Runs",
    "Step",
    "check",
    "errors",
    "losses",
    "observables",
    "sharpness",
    "train",
]
