"""Check of the law of several coefficients: moments and shapes extrapolated to a vanishing step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import torch
from torch import Tensor

from numeric.comparison.density import NumericDensity
from numeric.comparison.goodness_of_fit import kolmogorov_smirnov
from numeric.comparison.leading_order import LeadingOrder
from numeric.comparison.least_squares import straight_line
from numeric.comparison.mechanisms.combine import combine, undecided
from numeric.comparison.mechanisms.joint_matrix_moments import joint_matrix_moments
from numeric.comparison.mechanisms.reading import (
    formula,
    model_of,
    observable,
    regression_of,
    require_settings,
    setting,
    step_size,
)
from numeric.comparison.samples import FloatArray
from numeric.comparison.statistics import drift_of_halves, replica_mean
from numeric.comparison.verdict import Outcome, Verdict
from numeric.errors import CheckError
from numeric.training.runs import Runs

MECHANISM = "joint_stationary_density"
MOMENTS = LeadingOrder(z_threshold=4.0, largest_error=0.1)  # a dozen moments are compared at once
INDEPENDENT = LeadingOrder(z_threshold=4.0, largest_error=0.02)  # the same test for 1 + correlation
SHAPE = 0.02  # largest gap of the distribution functions, extrapolated to eta = 0, that still counts as agreement
STEADY = 5.0  # standard errors between the first and the second half of the snapshots
BALANCED = 0.02  # relative distance of the end point from the balanced point over its w

CRITERION = (
    "per coordinate, measured/predicted of the variance and of the shift y − mean, per-replica time averages first, "
    f"errors over replicas: {MOMENTS.criterion}; one plus the correlation of every pair alike, with an error below "
    f"{INDEPENDENT.largest_error:g}; where the density is closed, the Kolmogorov-Smirnov distance of every coordinate "
    f"has a line with a value at eta = 0 below {SHAPE:g} (refuted above). Inconclusive if a mean or variance differs "
    f"by more than {STEADY:g} standard errors between the halves of the snapshots, if a w is not positive, or if the "
    f"end is further than {BALANCED:g} from the balanced gauge"
)


@dataclass(frozen=True)
class _Ensemble:
    """One step size: samples (T, R, d) and what was predicted; ratios are (d,) values and their errors."""

    eta: float
    samples: FloatArray
    mean: FloatArray
    variance: FloatArray
    variance_ratio: tuple[FloatArray, FloatArray]
    shift_ratio: tuple[FloatArray, FloatArray]
    correlation: dict[tuple[int, int], tuple[float, float]]
    distance: list[float]


def joint_stationary_density(functions: Any, runs: Sequence[Runs], data: Mapping[str, Tensor] | None = None) -> Verdict:
    """The law of w over replicas tends to the derived one as η goes to zero.

    Needs SGD with label noise on a linear regression that some w fits, whole batch or one without residuals, at three
    or more step sizes, with the observable "predictor" (T, R, d) recorded after relaxation. Where the density is
    closed, all runs share ησ²; elsewhere they share σ, and ησ² vanishes with η. data: {"x": (n, d), "y": (n,)}.
    details, by η: "mean", "variance" with what was predicted, the ratios with errors, correlations, distances. A
    prediction about a product of two matrices goes to `joint_matrix_moments`.
    """
    if hasattr(functions, f"{MECHANISM}_frame_variance"):
        return joint_matrix_moments(functions, runs, data)
    runs = sorted(runs, key=step_size, reverse=True)
    n = min(run.config["replicas"] for run in runs)
    found = []
    for run in runs:
        require_settings(run, zero=("momentum", "weight_decay"), positive=("label_noise",))
        samples = _samples(run)
        reason = _unsettled(samples) or _unbalanced(functions, run)
        if reason:
            return undecided(MECHANISM, CRITERION, f"η = {step_size(run):.3g}: {reason}", n=n)
        try:
            found.append(_compare(functions, run, samples, *_problem(functions, run, data)))
        except CheckError as error:
            return undecided(MECHANISM, CRITERION, f"the predicted law cannot be evaluated: {error}", n=n)
    return combine(_judge(found, n), CRITERION, _details(found))


def _problem(functions: Any, run: Runs, data: Mapping[str, Tensor] | None) -> tuple[Tensor, Tensor, float]:
    """Targets (d,) of the coefficients, Gram matrix (d, d), and the label noise that one sample a step would have."""
    x, y = regression_of(functions, MECHANISM, run, data)
    gram = x.T @ x / len(x)
    if float(torch.linalg.cond(gram)) > 1e6:
        raise CheckError("the features are linearly dependent: w is not determined by the targets")
    target = torch.linalg.solve(gram, x.T @ y / len(x))
    if float((x @ target - y).norm()) > 1e-8 * float(y.norm()):
        raise CheckError("no coefficients fit the targets: their residuals are noise beside that of the labels")
    batch = run.config["optimizer"].get("batch_size") or len(x)
    return target, gram, setting(run, "label_noise") / float(batch) ** 0.5


def _samples(run: Runs) -> FloatArray:
    w = observable(run, "predictor")
    if w.ndim != 3 or len(w) < 2 or w.shape[1] < 4:
        raise CheckError(f"'predictor' has shape {tuple(w.shape)}: the check needs (snapshots, replicas, coefficients)")
    return np.asarray(w.to(torch.float64).numpy())


def _unsettled(samples: FloatArray) -> str:
    if not np.isfinite(samples).all() or (samples <= 0).any():
        return f"{int((~(samples > 0)).sum())} values of w are not positive: the law is stated for w > 0"
    for name, values in (("mean", samples), ("variance", (samples - samples.mean((0, 1))) ** 2)):
        drift = max(map(drift_of_halves, np.moveaxis(values, -1, 0)), key=abs)
        if abs(drift) > STEADY:
            return f"a {name} still drifts ({drift:+.1f} standard errors): record later"
    return ""


def _unbalanced(functions: Any, run: Runs) -> str:
    """Why the end of the run does not count as balanced; signs of the parameters do not matter."""
    w = model_of(run).predictor(run.final).to(torch.float64)
    point = formula(functions, f"{MECHANISM}_gauge")(w)
    ends = torch.stack([run.final[name].to(torch.float64).abs() for name in point])
    balanced = torch.stack([leaf.abs().expand_as(w) for leaf in point.values()])
    gap = float((ends - balanced).norm() / balanced.norm())
    return f"the gauge is not balanced: {gap:.2g} away from the balanced points" if gap > BALANCED else ""


def _compare(functions: Any, run: Runs, samples: FloatArray, target: Tensor, gram: Tensor, sigma: float) -> _Ensemble:
    eta = step_size(run)
    laws = _marginal_laws(functions, target, gram, eta, sigma)
    if laws:
        mean, variance = np.array([law.mean for law in laws]), np.array([law.variance for law in laws])
    else:
        mean = formula(functions, f"{MECHANISM}_mean")(target, gram, eta, sigma).numpy()
        variance = formula(functions, f"{MECHANISM}_covariance")(target, gram, eta, sigma).diagonal().numpy()
    shift = target.numpy() - mean
    if not (variance > 0).all() or (shift == 0).any():
        raise CheckError("a variance or the shift of a mean is zero or negative")
    centred = samples - samples.mean((0, 1))
    means = [replica_mean(column) for column in samples.mean(0).T]
    variances = [replica_mean(column) for column in (centred**2).mean(0).T]
    return _Ensemble(
        eta=eta,
        samples=samples,
        mean=mean,
        variance=variance,
        variance_ratio=(
            np.array([entry.value for entry in variances]) / variance,
            np.array([entry.standard_error for entry in variances]) / variance,
        ),
        shift_ratio=(
            (target.numpy() - np.array([entry.value for entry in means])) / shift,
            np.array([entry.standard_error for entry in means]) / np.abs(shift),
        ),
        correlation=_correlations(centred),
        distance=[kolmogorov_smirnov(samples[..., j].ravel(), law).distance for j, law in enumerate(laws)],
    )


def _marginal_laws(functions: Any, target: Tensor, gram: Tensor, eta: float, sigma: float) -> list[NumericDensity]:
    """The predicted law of every coordinate; none where it has no closed form."""
    if not hasattr(functions, f"{MECHANISM}_marginals"):
        return []

    def law(index: int) -> NumericDensity:
        def logarithm(w: FloatArray) -> FloatArray:
            points = target.expand(len(w), -1).clone()
            points[:, index] = torch.from_numpy(w)
            logs = formula(functions, f"{MECHANISM}_marginals")(points, target, gram, eta, sigma)
            return np.asarray(logs[:, index].numpy())

        return NumericDensity(logarithm, (0.0, np.inf))

    return [law(index) for index in range(len(target))]


def _correlations(centred: FloatArray) -> dict[tuple[int, int], tuple[float, float]]:
    scaled = centred / np.sqrt((centred**2).mean((0, 1)))
    found = {}
    for i, j in combinations(range(centred.shape[-1]), 2):
        estimate = replica_mean((scaled[..., i] * scaled[..., j]).mean(0))
        found[i, j] = (estimate.value, estimate.standard_error)
    return found


def _judge(found: list[_Ensemble], n: int) -> dict[str, Verdict]:
    etas = [ensemble.eta for ensemble in found]
    parts = {}
    for j in range(len(found[0].mean)):
        for name, ratios in (
            ("shift of the mean", [ensemble.shift_ratio for ensemble in found]),
            ("variance", [ensemble.variance_ratio for ensemble in found]),
        ):
            values, errors = [ratio[0][j] for ratio in ratios], [ratio[1][j] for ratio in ratios]
            parts[f"{name} of coordinate {j + 1}"] = MOMENTS.judge(MECHANISM, etas, values, errors, n)
        if found[0].distance:
            distances = [ensemble.distance[j] for ensemble in found]
            parts[f"shape of coordinate {j + 1}"] = _judge_shape(etas, distances, n)
    for i, j in found[0].correlation:
        pairs = [ensemble.correlation[i, j] for ensemble in found]
        parts[f"correlation of coordinates {i + 1} and {j + 1}"] = INDEPENDENT.judge(
            MECHANISM, etas, [1 + value for value, _ in pairs], [error for _, error in pairs], n
        )
    return parts


def _judge_shape(etas: list[float], distances: list[float], n: int) -> Verdict:
    details: dict[str, Any] = {"eta": etas, "distance": distances}
    if len(set(etas)) < 3:
        return undecided(MECHANISM, CRITERION, "three distinct values of eta are needed", details, n)
    _, intercept, error = straight_line(etas, distances)
    outcome: Outcome = "confirmed" if intercept <= SHAPE else "refuted"
    return Verdict(MECHANISM, outcome, 0.0, intercept, error, None, n, CRITERION, details)


def _details(found: list[_Ensemble]) -> dict[str, Any]:
    return {
        "eta": [ensemble.eta for ensemble in found],
        "mean": [ensemble.samples.mean((0, 1)) for ensemble in found],
        "predicted_mean": [ensemble.mean for ensemble in found],
        "variance": [ensemble.variance_ratio[0] * ensemble.variance for ensemble in found],
        "predicted_variance": [ensemble.variance for ensemble in found],
        "variance_ratio": [ensemble.variance_ratio for ensemble in found],
        "shift_ratio": [ensemble.shift_ratio for ensemble in found],
        "correlation": [
            {f"{i + 1}, {j + 1}": value for (i, j), (value, _) in ensemble.correlation.items()} for ensemble in found
        ],
        "distribution_distance": [ensemble.distance for ensemble in found],
    }
