"""Check of the covariance at a finite step: entry by entry in the eigenbasis, or extrapolated to vanishing noise."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from numeric.comparison.leading_order import LeadingOrder
from numeric.comparison.mechanisms.combine import combine, undecided
from numeric.comparison.mechanisms.local_quadratic import LocalQuadratic, TrainingLoss, local_quadratic, training_loss
from numeric.comparison.mechanisms.reading import formula, observed_point, require_settings, setting, step_size
from numeric.comparison.statistics import replica_mean
from numeric.comparison.verdict import Outcome, Verdict
from numeric.errors import CheckError
from numeric.flat_points import flattened
from numeric.training.runs import Runs

MECHANISM = "finite_step_covariance"
RANGE = 0.2  # curvature over the largest one, above which a direction is compared: flatter ones relax too slowly
ENTRIES_Z = 5.0  # for all entries of all covariances at once: hundreds, so that chance alone stays below 1e-3
LARGEST_ERROR = 0.05  # of a ratio of variances; a missing factor 2 is then ten errors away
QUADRATIC = 1e-8  # relative change of the Hessian under which the loss is quadratic to rounding
DEPARTURE = 0.15  # the same above which fluctuations count as too large for the limit of vanishing noise
VANISHING = LeadingOrder(z_threshold=4.0, largest_error=0.1)  # half a dozen ratios are compared at once
NEARBY = 0.01  # standard deviations of the fluctuations by which the start may miss the minimum
ASSUMED_Z = 5.0  # standard errors at which an assumption counts as violated

CRITERION = (
    f"covariance over replicas, time averages first, in eigendirections with more than {RANGE:g} of the largest "
    "curvature, whitened by the predicted one (refuted if that is no covariance). Loss quadratic to "
    f"{QUADRATIC:g} where training moved: refuted if any entry lies more than {ENTRIES_Z:g} standard errors from the "
    f"unit matrix, confirmed otherwise provided that every diagonal error is below {LARGEST_ERROR:g}. Else, for mean, "
    f"steepest and flattest direction, with sigma^2 in the place of eta: {VANISHING.criterion}. Inconclusive if "
    f"gradients are further than {DEPARTURE:g} from those of a quadratic loss, if the start misses the minimum by "
    f"{NEARBY:g} standard deviations, if the noise of the gradient has another variance than at the minimum, judged "
    f"alike ({ASSUMED_Z:g} standard errors where the loss is quadratic), or if the covariance drifts by {ASSUMED_Z:g}"
)


@dataclass(frozen=True)
class _Ensemble:
    """One run.

    distances: squared, whitened, (T, R); noise: time average of the squared whitened gradient noise (R,), which is one
    on average where it is that of the minimum; moments, continuous: whitened second moments per replica (R, m, m), by
    the prediction and by continuous time; curvatures: (m,), rising; curvature_change: of gradients
    beside those of the quadratic loss, relative, where training moved.
    """

    label: str
    group: tuple[float, ...]
    variance: float
    distances: Tensor
    noise: Tensor
    moments: Tensor
    continuous: Tensor
    curvatures: Tensor
    curvature_change: float


def finite_step_covariance(functions: Any, runs: Sequence[Runs], data: Mapping[str, Tensor] | None = None) -> Verdict:
    """Replicas that start at a minimum spread as the derived covariance says.

    Needs SGD with label noise, all replicas started at one minimum of the training loss (weight decay included), and
    the observables "point" and "gradient" at two or more snapshots after relaxation. A graph that is not affine needs
    three or more noise levels for each setting of η, μ and λ. data: inputs, targets and constants. details, by run:
    "steepness" η h_max, "curvatures", "ratio" measured/predicted along the eigendirections with "ratio_error",
    "continuous", the same over the prediction of continuous time; "continuous_refuted" says whether that rival fails
    the test of quadratic losses; "curvature_change" is the measured departure from a quadratic loss.
    """
    found, n = [], min(run.config["replicas"] for run in runs)
    for run in runs:
        require_settings(run, positive=("label_noise",))
        loss = training_loss(run, data)
        local = local_quadratic(loss, run)
        observed = (observed_point(run, name) for name in ("point", "gradient"))
        points, gradients = (flattened(leaves, 2).to(torch.float64) for leaves in observed)
        smallest = float(torch.linalg.eigvalsh(_predicted(functions, MECHANISM, run, local))[0])
        if not smallest > 0:
            return _no_covariance(smallest, points, run, local, n)
        ensemble = _ensemble(functions, run, loss, local, points, gradients)
        reason = _off_minimum(local, run, points[-1]) or _unsettled(ensemble)
        if reason:
            return undecided(MECHANISM, CRITERION, f"{ensemble.label}: {reason}", n=n)
        found.append(ensemble)
    details = _details(found)
    departure = max(ensemble.curvature_change for ensemble in found)
    if departure > DEPARTURE:
        reason = f"gradients are {departure:.2g} away from those of a quadratic loss: use less label noise"
        return undecided(MECHANISM, CRITERION, reason, details, n)
    exact = departure <= QUADRATIC
    for label, verdict in _noise_at_minimum(found, exact, n).items():
        if verdict.verdict != "confirmed":
            told = "is not additive" if verdict.verdict == "refuted" else "is not known to be additive"
            measured = f"{verdict.measured:.3g} ± {verdict.standard_error or float('nan'):.2g}"
            reason = f"the gradient noise {told}: {measured} of its variance at the minimum, {label}"
            return undecided(MECHANISM, CRITERION, reason, details, n)
    judge = _judge_entries if exact else _judge_vanishing
    return combine(judge(found, n), CRITERION, details)


def _directions(local: LocalQuadratic, decay: float) -> tuple[Tensor, Tensor]:
    """Curvatures (m,) and eigenvectors (D, m) that are compared."""
    curvatures, vectors = torch.linalg.eigh(local.hessian)
    curvatures = curvatures + decay
    steep = curvatures > RANGE * curvatures.max()
    if not bool(steep.any()):
        raise CheckError("the loss has no direction of positive curvature at the start: start at a minimum")
    return curvatures[steep], vectors[:, steep]


def _ensemble(
    functions: Any, run: Runs, loss: TrainingLoss, local: LocalQuadratic, points: Tensor, gradients: Tensor
) -> _Ensemble:
    """points: (T, R, D); gradients: of the batch loss there, (T, R, D)."""
    eta, decay, momentum = step_size(run), setting(run, "weight_decay"), setting(run, "momentum")
    curvatures, vectors = _directions(local, decay)
    moved = points - local.minimum
    names = (MECHANISM, f"{MECHANISM}_continuous")
    white = [_whitened(moved @ vectors, _predicted(functions, name, run, local)) for name in names]
    slope, linear = loss.gradients(points.flatten(0, 1)).reshape(points.shape), moved @ local.hessian
    noise = _whitened((gradients - slope) @ vectors, vectors.T @ local.noise @ vectors)
    steepness, sigma = eta * float(curvatures.max()), setting(run, "label_noise")
    return _Ensemble(
        label=f"ηh = {steepness:.3g}" + (f", μ = {momentum:g}" if momentum else "") + f", σ = {sigma:.3g}",
        group=(eta, decay, momentum),
        variance=sigma**2,
        distances=white[0].square().mean(-1),
        noise=noise.square().mean((0, -1)),
        moments=_second_moments(white[0]),
        continuous=_second_moments(white[1]),
        curvatures=curvatures,
        curvature_change=float((slope - loss.gradient(local.minimum) - linear).norm() / linear.norm()),
    )


def _predicted(functions: Any, name: str, run: Runs, local: LocalQuadratic) -> Tensor:
    """The predicted covariance in the directions that are compared, (m, m)."""
    decay = setting(run, "weight_decay")
    _, vectors = _directions(local, decay)
    law = formula(functions, name)(local.hessian, local.noise, step_size(run), decay, setting(run, "momentum"))
    return torch.as_tensor(vectors.T @ law @ vectors)


def _no_covariance(smallest: float, points: Tensor, run: Runs, local: LocalQuadratic, n: int) -> Verdict:
    """The verdict on a prediction that is no covariance, for replicas that have one; their noise must have it too."""
    _, vectors = _directions(local, setting(run, "weight_decay"))
    least = float(torch.linalg.eigvalsh(vectors.T @ local.noise @ vectors)[0])
    if not least > 0:
        return undecided(MECHANISM, CRITERION, "the gradient noise leaves a direction out", n=n)
    measured = float(torch.linalg.eigvalsh((points[-1] @ vectors).T.cov())[0])
    details = {"decided_by": "smallest eigenvalue of the covariance"}
    return Verdict(MECHANISM, "refuted", smallest, measured, None, None, n, CRITERION, details)


def _whitened(vectors: Tensor, covariance: Tensor) -> Tensor:
    """Vectors (..., m) in coordinates in which the covariance (m, m) is the unit matrix."""
    root, failed = torch.linalg.cholesky_ex(covariance)
    if int(failed):
        raise CheckError("a covariance is not positive definite: its noise leaves a direction out")
    return torch.linalg.solve_triangular(root, vectors.unsqueeze(-1), upper=False).squeeze(-1)


def _second_moments(vectors: Tensor) -> Tensor:
    """Time averages of v vᵀ for v (T, R, m): (R, m, m)."""
    return torch.einsum("trm,trk->rmk", vectors, vectors) / len(vectors)


def _off_minimum(local: LocalQuadratic, run: Runs, point: Tensor) -> str:
    """Why the start does not count as a minimum, from the fluctuations (R, D) about it; empty if it does."""
    curvatures, vectors = _directions(local, setting(run, "weight_decay"))
    deviation = ((point - local.minimum) @ vectors).std(0)
    offset = float((local.gradient @ vectors / curvatures / deviation).abs().max())
    return f"the start is {offset:.2g} standard deviations away from a minimum" if offset > NEARBY else ""


def _unsettled(ensemble: _Ensemble) -> str:
    distances = ensemble.distances
    if not bool(torch.isfinite(distances).all()):
        return "a replica is not finite"
    half = len(distances) // 2
    if half < 1:
        raise CheckError("the check needs at least 2 snapshots")
    drift = replica_mean(distances[half:].mean(0) - distances[:half].mean(0)).z(0.0)
    return f"the covariance still drifts ({drift:+.1f} standard errors)" if abs(drift) > ASSUMED_Z else ""


def _entries(moments: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard error over replicas of the entries, each (m, m)."""
    error = moments.std(0) / len(moments) ** 0.5
    return moments.mean(0).numpy(), error.numpy()


def _worst(moments: Tensor) -> tuple[float, float, float, float]:
    """Value, error and prediction of the entry furthest from the unit matrix in standard errors, and its z."""
    mean, error = _entries(moments)
    unit = np.eye(len(mean))
    scores = (mean - unit) / error
    place = np.unravel_index(np.abs(scores).argmax(), scores.shape)
    return float(mean[place]), float(error[place]), float(unit[place]), float(scores[place])


def _judge_entries(found: list[_Ensemble], n: int) -> dict[str, Verdict]:
    """Every run by itself, against the unit matrix."""
    return {ensemble.label: _judge_run(ensemble, n) for ensemble in found}


def _judge_run(ensemble: _Ensemble, n: int) -> Verdict:
    value, error, predicted, z = _worst(ensemble.moments)
    largest = float(_entries(ensemble.moments)[1].diagonal().max())
    outcome: Outcome = "refuted" if abs(z) > ENTRIES_Z else "confirmed"
    details: dict[str, Any] = {"entries": ensemble.moments[0].numel(), "largest_error": largest}
    if outcome == "confirmed" and largest >= LARGEST_ERROR:
        outcome = "inconclusive"
        details["reason"] = f"a variance has the error {largest:.2g}, not below {LARGEST_ERROR:g}: use more replicas"
    return Verdict(MECHANISM, outcome, predicted, value, error, z, n, CRITERION, details)


def _noise_at_minimum(found: list[_Ensemble], exact: bool, n: int) -> dict[str, Verdict]:
    """Whether the gradient noise where training moves has the variance that it has at the minimum."""
    if not exact:
        return _vanishing(found, {"all directions": [ensemble.noise for ensemble in found]}, n)
    verdicts = {}
    for ensemble in found:
        mean = replica_mean(ensemble.noise)
        outcome: Outcome = "confirmed" if mean.standard_error < LARGEST_ERROR else "inconclusive"
        if abs(mean.z(1.0)) > ASSUMED_Z:
            outcome = "refuted"
        verdicts[ensemble.label] = Verdict(
            MECHANISM, outcome, 1.0, mean.value, mean.standard_error, mean.z(1.0), n, CRITERION
        )
    return verdicts


def _judge_vanishing(found: list[_Ensemble], n: int) -> dict[str, Verdict]:
    """Mean, steepest and flattest direction, in the limit of vanishing label noise."""
    diagonals = [ensemble.moments.diagonal(dim1=-2, dim2=-1) for ensemble in found]
    return _vanishing(
        found,
        {
            "mean over directions": [diagonal.mean(-1) for diagonal in diagonals],
            "steepest direction": [diagonal[:, -1] for diagonal in diagonals],
            "flattest direction": [diagonal[:, 0] for diagonal in diagonals],
        },
        n,
    )


def _vanishing(found: list[_Ensemble], ratios: Mapping[str, Sequence[Tensor]], n: int) -> dict[str, Verdict]:
    """For every ratio, (R,) a run, and every setting of η, λ and μ: its limit at vanishing label noise against one."""
    groups: dict[tuple[float, ...], list[int]] = defaultdict(list)
    for index, ensemble in enumerate(found):
        groups[ensemble.group].append(index)
    parts = {}
    for members in groups.values():
        setting_label = found[members[0]].label.rpartition(", ")[0]
        for name, values in ratios.items():
            estimates = [replica_mean(values[index]) for index in members]
            parts[f"{name}, {setting_label}"] = VANISHING.judge(
                MECHANISM,
                [found[index].variance for index in members],
                [estimate.value for estimate in estimates],
                [estimate.standard_error for estimate in estimates],
                n,
            )
    return parts


def _details(found: list[_Ensemble]) -> dict[str, Any]:
    ratios = [_entries(ensemble.moments) for ensemble in found]
    rivals = [_entries(ensemble.continuous) for ensemble in found]
    return {
        "runs": [ensemble.label for ensemble in found],
        "steepness": [ensemble.group[0] * float(ensemble.curvatures.max()) for ensemble in found],
        "eta": [ensemble.group[0] for ensemble in found],
        "momentum": [ensemble.group[2] for ensemble in found],
        "curvatures": [ensemble.curvatures.tolist() for ensemble in found],
        "ratio": [mean.diagonal() for mean, _ in ratios],
        "ratio_error": [error.diagonal() for _, error in ratios],
        "continuous": [mean.diagonal() for mean, _ in rivals],
        "continuous_refuted": [abs(_worst(ensemble.continuous)[3]) > ENTRIES_Z for ensemble in found],
        "curvature_change": [ensemble.curvature_change for ensemble in found],
    }
