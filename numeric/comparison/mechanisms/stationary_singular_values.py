"""Check of the stationary law of singular values: their sum, and an identity that their joint density obeys."""

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
from numeric.comparison.samples import FloatArray
from numeric.comparison.settled_gauge import charge_drift
from numeric.comparison.statistics import drift_of_halves, replica_mean
from numeric.comparison.verdict import Outcome, Verdict
from numeric.errors import CheckError
from numeric.training.runs import Runs

MECHANISM = "stationary_density"
MOMENTS = LeadingOrder(z_threshold=3.5, largest_error=0.08)
SHAPE = 0.03  # largest gap of the distribution functions, extrapolated to eta = 0; sampling alone makes up to 0.015
STEADY = 5.0  # standard errors between the first and the second half of the snapshots
BALANCED = 0.05  # mean change of the charge by noise, relative to its two parts
GRID = 200

CRITERION = (
    "measured/predicted of the mean and the variance of the nuclear norm, and -E[v . grad log p]/E[div v] with v = s² "
    f"for the joint density p, per-replica time averages first, errors over replicas: {MOMENTS.criterion}; the "
    "Kolmogorov-Smirnov distance of the nuclear norm over all snapshots has a line with a value at eta = 0 below "
    f"{SHAPE:g} (refuted above); inconclusive if mean or variance differ by more than {STEADY:g} standard errors "
    f"between the halves of the snapshots, or the charge is further than {BALANCED:g} from that which noise leaves"
)

Ratio = tuple[float, float]


@dataclass(frozen=True)
class _Ensemble:
    """One step size: norms (T, R), their law, and ratios measured/predicted with errors, by name."""

    eta: float
    norms: FloatArray
    law: NumericDensity
    fit: GoodnessOfFit
    moments: dict[str, float]
    ratios: dict[str, Ratio]


def stationary_singular_values(
    functions: Any, runs: Sequence[Runs], data: Mapping[str, Tensor] | None = None
) -> Verdict:
    """The law of the singular values of W over replicas tends to the derived one as η goes to zero.

    Needs SGD with label noise on the target {"y": (1, n, n)} of zeros at three or more step sizes that share ησ², with
    the observable "predictor" (T, R, n, n) recorded after relaxation. details as in ``stationary_density``, with the
    nuclear norm as w.
    """
    runs = sorted(runs, key=step_size, reverse=True)
    n = min(run.config["replicas"] for run in runs)
    found = []
    for run in runs:
        values = _singular_values(run, data)
        reason = _unsettled(values) or _unbalanced(functions, run)
        if reason:
            return undecided(MECHANISM, CRITERION, f"η = {step_size(run):.3g}: {reason}", n=n)
        try:
            found.append(_compare(functions, run, values))
        except CheckError as error:
            return undecided(MECHANISM, CRITERION, f"the predicted law cannot be evaluated: {error}", n=n)
    etas = [ensemble.eta for ensemble in found]
    parts = {}
    for name in found[0].ratios:
        ratios, errors = zip(*(ensemble.ratios[name] for ensemble in found), strict=True)
        parts[name] = MOMENTS.judge(MECHANISM, etas, ratios, errors, n)
    parts["shape"] = _judge_shape(etas, [ensemble.fit.distance for ensemble in found], n)
    return combine(parts, CRITERION, _details(found))


def _singular_values(run: Runs, data: Mapping[str, Tensor] | None) -> FloatArray:
    """(T, R, h), those that the factors leave room for."""
    require_settings(run, zero=("momentum", "weight_decay"), positive=("label_noise",))
    if data_of(run, data, ("y",))["y"].abs().max() > 0:
        raise CheckError("the law is closed for the target zero, and data['y'] is another one")
    w = observable(run, "predictor")
    if w.ndim != 4 or len(w) < 2 or w.shape[1] < 4:
        raise CheckError(f"'predictor' has shape {tuple(w.shape)}: the check needs (snapshots, replicas, n, n)")
    rank = min(min(leaf.shape[-2:]) for leaf in run.final.values())
    return np.asarray(torch.linalg.svdvals(w.to(torch.float64))[..., :rank].numpy())


def _unsettled(values: FloatArray) -> str:
    if not np.isfinite(values).all() or (values <= 0).any():
        return f"{int((~(values > 0)).sum())} singular values are not positive"
    norms = values.sum(-1)
    for name, series in (("mean", norms), ("variance", (norms - norms.mean()) ** 2)):
        drift = drift_of_halves(series)
        if abs(drift) > STEADY:
            return f"the {name} of the nuclear norm still drifts ({drift:+.1f} standard errors): record later"
    return ""


def _unbalanced(functions: Any, run: Runs) -> str:
    drift = charge_drift(functions, MECHANISM, run.final)
    return f"the charge is not settled: {drift:.2g} of what moves it is left" if drift > BALANCED else ""


def _compare(functions: Any, run: Runs, values: FloatArray) -> _Ensemble:
    eta, sigma, rows = step_size(run), setting(run, "label_noise"), run.observables["predictor"].shape[-1]
    log_density = formula(functions, f"{MECHANISM}_norm")

    def logarithm(x: FloatArray) -> FloatArray:
        return np.asarray(log_density(torch.from_numpy(x), eta, sigma, rows, values.shape[-1]).numpy())

    law = NumericDensity(logarithm, (0.0, np.inf))
    norms = values.sum(-1)
    mean = replica_mean(norms.mean(0))
    variance = replica_mean(((norms - mean.value) ** 2).mean(0))
    return _Ensemble(
        eta=eta,
        norms=norms,
        law=law,
        fit=kolmogorov_smirnov(norms.ravel(), law),
        moments={"mean": mean.value, "variance": variance.value},
        ratios={
            "mean of the nuclear norm": (mean.value / law.mean, mean.standard_error / law.mean),
            "variance of the nuclear norm": (variance.value / law.variance, variance.standard_error / law.variance),
            "joint density": _identity(functions, values, (eta, sigma, rows)),
        },
    )


def _identity(functions: Any, values: FloatArray, settings: tuple[float, float, int]) -> Ratio:
    """−E[v · ∇log p]/E[div v] for v = s², which is 1 for samples of p: nothing flows out of s > 0.

    Where two singular values meet p vanishes, so that nothing flows between their orders either.
    """
    s = torch.from_numpy(values).requires_grad_()
    (slope,) = torch.autograd.grad(formula(functions, MECHANISM)(s, *settings).sum(), s)
    left = -(values**2 * slope.numpy()).sum(-1).mean(0)
    right = (2 * values).sum(-1).mean(0)
    ratio = float(left.mean() / right.mean())
    return ratio, replica_mean(left - ratio * right).standard_error / float(right.mean())


def _judge_shape(etas: list[float], distances: list[float], n: int) -> Verdict:
    details: dict[str, Any] = {"eta": etas, "distance": distances}
    if len(set(etas)) < 3:
        return undecided(MECHANISM, CRITERION, "three distinct values of eta are needed", details, n)
    _, intercept, error = straight_line(etas, distances)
    outcome: Outcome = "confirmed" if intercept <= SHAPE else "refuted"
    return Verdict(MECHANISM, outcome, 0.0, intercept, error, None, n, CRITERION, details)


def _details(found: list[_Ensemble]) -> dict[str, Any]:
    replicas = min(ensemble.norms.shape[1] for ensemble in found)
    last = np.stack([ensemble.norms[-1, :replicas] for ensemble in found])
    grid = np.linspace(1e-3 * last.mean(), last.max() * 1.05, GRID)
    return {
        "eta": [ensemble.eta for ensemble in found],
        "samples": last,
        "grid": grid,
        "density": np.stack([ensemble.law.pdf(grid) for ensemble in found]),
        "mean": [ensemble.moments["mean"] for ensemble in found],
        "predicted_mean": [ensemble.law.mean for ensemble in found],
        "variance": [ensemble.moments["variance"] for ensemble in found],
        "predicted_variance": [ensemble.law.variance for ensemble in found],
        "ratios": [ensemble.ratios for ensemble in found],
        "distribution_distance": [ensemble.fit.distance for ensemble in found],
        "sampling_distance": [ensemble.fit.expected_distance for ensemble in found],
    }
