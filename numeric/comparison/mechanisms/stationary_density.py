"""Check of a stationary density: moments extrapolated to a vanishing step, and the shape of the histogram."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from numeric.comparison.density import NumericDensity
from numeric.comparison.goodness_of_fit import GoodnessOfFit, kolmogorov_smirnov
from numeric.comparison.leading_order import LeadingOrder
from numeric.comparison.least_squares import straight_line
from numeric.comparison.mechanisms.combine import combine, undecided
from numeric.comparison.mechanisms.reading import (
    data_of,
    formula,
    observable,
    require_settings,
    setting,
    step_size,
)
from numeric.comparison.mechanisms.stationary_singular_values import stationary_singular_values
from numeric.comparison.samples import FloatArray
from numeric.comparison.statistics import drift_of_halves, replica_mean
from numeric.comparison.verdict import Outcome, Verdict
from numeric.errors import CheckError
from numeric.training.runs import Runs

MECHANISM = "stationary_density"
MOMENTS = LeadingOrder(z_threshold=3.0, largest_error=0.05)
SHAPE = 0.02  # largest gap of the distribution functions, extrapolated to eta = 0, that still counts as agreement
STEADY = 5.0  # standard errors between the first and the second half of the snapshots
GRID = 200

CRITERION = (
    "measured/predicted of the variance and of the shift y − mean, per-replica time averages first, errors over "
    f"replicas: {MOMENTS.criterion}; Kolmogorov-Smirnov distance of all snapshots falls from the largest to the "
    f"smallest eta, and its line's value at eta = 0 is below {SHAPE:g} (refuted above); inconclusive if mean or "
    f"variance differ by more than {STEADY:g} standard errors between the first and the second half of the snapshots"
)


@dataclass(frozen=True)
class _Ensemble:
    """One step size: samples w (T, R), the predicted law, and ratios measured/predicted with errors."""

    eta: float
    samples: FloatArray
    law: NumericDensity
    fit: GoodnessOfFit
    mean: float
    variance: float
    variance_ratio: tuple[float, float]
    shift_ratio: tuple[float, float]


def stationary_density(functions: Any, runs: Sequence[Runs], data: Mapping[str, Tensor] | None = None) -> Verdict:
    """The law of w over independent replicas tends to the derived density as η goes to zero.

    Needs SGD with label noise on one scalar target {"y": (1, ...)} at three or more step sizes, with the
    observable "predictor", (T, R) or (T, R, 1), recorded after relaxation at snapshots some relaxation times
    apart. The log-density of the prediction is normalized numerically on w > 0. details, by η: "samples" of the
    last snapshot, "grid", "density", "mean", "variance" with what was predicted, and the distances. A prediction about
    the singular values of a matrix goes to `stationary_singular_values`.
    """
    if hasattr(functions, f"{MECHANISM}_norm"):
        return stationary_singular_values(functions, runs, data)
    runs = sorted(runs, key=step_size, reverse=True)
    samples = [_samples(run, data) for run in runs]
    n = min(array.shape[1] for array in samples)
    reason = next(filter(None, map(_unsettled, samples)), "")
    if reason:
        return undecided(MECHANISM, CRITERION, reason, n=n)
    target = float(data_of(runs[0], data, ("y",))["y"])
    try:
        found = [_compare(functions, run, array, target) for run, array in zip(runs, samples, strict=True)]
    except CheckError as error:
        return undecided(MECHANISM, CRITERION, f"the predicted law cannot be evaluated: {error}", n=n)
    etas = [ensemble.eta for ensemble in found]
    parts = {}
    for name, ratios in (
        ("variance", [ensemble.variance_ratio for ensemble in found]),
        ("shift of the mean", [ensemble.shift_ratio for ensemble in found]),
    ):
        values, errors = zip(*ratios, strict=True)
        parts[name] = MOMENTS.judge(MECHANISM, etas, values, errors, n)
    parts["shape"] = _judge_shape(etas, [ensemble.fit.distance for ensemble in found], n)
    return combine(parts, CRITERION, _details(found, target))


def _samples(runs: Runs, data: Mapping[str, Tensor] | None) -> FloatArray:
    require_settings(runs, zero=("momentum", "weight_decay"), positive=("label_noise",))
    target = data_of(runs, data, ("y",))["y"]
    w = observable(runs, "predictor")
    if target.numel() != 1 or w[0, 0].numel() != 1:
        raise CheckError("the check needs one scalar coefficient and one scalar target, data['y'] with one number")
    if len(w) < 2 or w.shape[1] < 4:
        raise CheckError("the check needs at least 2 snapshots of at least 4 replicas")
    return np.asarray(w.reshape(w.shape[0], w.shape[1]).to(torch.float64).numpy())


def _unsettled(samples: FloatArray) -> str:
    if not np.isfinite(samples).all() or (samples <= 0).any():
        return f"{int((~(samples > 0)).sum())} values of w are not positive: the law is stated for w > 0"
    for name, values in (("mean", samples), ("variance", (samples - samples.mean()) ** 2)):
        drift = drift_of_halves(values)
        if abs(drift) > STEADY:
            return f"the {name} still drifts ({drift:+.1f} standard errors): record later"
    return ""


def _compare(functions: Any, runs: Runs, samples: FloatArray, target: float) -> _Ensemble:
    eta, sigma = step_size(runs), setting(runs, "label_noise")
    log_density = formula(functions, MECHANISM)

    def logarithm(w: FloatArray) -> FloatArray:
        return np.asarray(log_density(torch.from_numpy(w), target, eta, sigma).numpy())

    law = NumericDensity(logarithm, (0.0, np.inf))
    mean = replica_mean(samples.mean(0))
    variance = replica_mean(((samples - mean.value) ** 2).mean(0))
    shift = target - law.mean
    if not (law.variance > 0 and shift != 0):
        raise CheckError("its variance or the shift of its mean is zero")
    return _Ensemble(
        eta=eta,
        samples=samples,
        law=law,
        fit=kolmogorov_smirnov(samples.ravel(), law),
        mean=mean.value,
        variance=variance.value,
        variance_ratio=(variance.value / law.variance, variance.standard_error / law.variance),
        shift_ratio=((target - mean.value) / shift, mean.standard_error / abs(shift)),
    )


def _judge_shape(etas: list[float], distances: list[float], n: int) -> Verdict:
    details: dict[str, Any] = {"eta": etas, "distance": distances}
    if len(set(etas)) < 3:
        return undecided(MECHANISM, CRITERION, "three distinct values of eta are needed", details, n)
    _, intercept, error = straight_line(etas, distances)
    outcome: Outcome = "refuted"
    if intercept <= SHAPE:
        outcome = "confirmed" if distances[-1] < distances[0] else "inconclusive"
    if outcome == "inconclusive":
        details["reason"] = "the distance of the distribution functions does not fall with eta: use more replicas"
    return Verdict(MECHANISM, outcome, 0.0, intercept, error, None, n, CRITERION, details)


def _details(found: list[_Ensemble], target: float) -> dict[str, Any]:
    replicas = min(ensemble.samples.shape[1] for ensemble in found)
    last = np.stack([ensemble.samples[-1, :replicas] for ensemble in found])
    grid = np.linspace(max(last.min() * 0.8, 1e-3 * target), last.max() * 1.05, GRID)
    return {
        "eta": [ensemble.eta for ensemble in found],
        "samples": last,
        "grid": grid,
        "density": np.stack([ensemble.law.pdf(grid) for ensemble in found]),
        "mean": [ensemble.mean for ensemble in found],
        "predicted_mean": [ensemble.law.mean for ensemble in found],
        "variance": [ensemble.variance for ensemble in found],
        "predicted_variance": [ensemble.law.variance for ensemble in found],
        "variance_ratio": [ensemble.variance_ratio for ensemble in found],
        "shift_ratio": [ensemble.shift_ratio for ensemble in found],
        "distribution_distance": [ensemble.fit.distance for ensemble in found],
        "sampling_distance": [ensemble.fit.expected_distance for ensemble in found],
    }
