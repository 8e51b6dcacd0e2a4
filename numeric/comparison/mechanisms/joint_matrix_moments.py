"""Check of the mean and the covariance of a matrix around its target, in the frame of the target's singular vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from numeric.comparison.leading_order import LeadingOrder
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
from numeric.comparison.verdict import Verdict
from numeric.errors import CheckError
from numeric.training.runs import Runs

MECHANISM = "joint_stationary_density"
MOMENTS = LeadingOrder(z_threshold=4.0, largest_error=0.1)
INDEPENDENT = LeadingOrder(z_threshold=4.0, largest_error=0.05)  # the same test for 1 + correlation
STEADY = 5.0  # standard errors between the first and the second half of the snapshots
BALANCED = 0.05  # mean change of the charge by noise, relative to its two parts
ZERO = 1e-9  # singular values of the target below this share of the largest are zero

CRITERION = (
    "measured/predicted, per-replica time averages first, errors over replicas, of the variances (of diagonal entries, "
    "of others within the rank, and of those beside it, averaged over each kind), of the shift Y − E W along its "
    "singular vectors, and of the excess of the nuclear norm over the trace of W along them, which has the repulsion "
    f"of singular values in it: {MOMENTS.criterion}; 1 + the mean correlation of W_ij and W_ji alike, with an error "
    f"below {INDEPENDENT.largest_error:g}. Inconclusive if a mean or variance differs by more than {STEADY:g} standard "
    f"errors between the halves of the snapshots, or the charge is further than {BALANCED:g} from that of the noise"
)

Ratio = tuple[float, float]


@dataclass(frozen=True)
class _Target:
    """y (n, m), its singular values (h,) without zeros, and its frame: u (n, n), v (m, m)."""

    y: Tensor
    values: FloatArray
    left: Tensor
    right: Tensor


@dataclass(frozen=True)
class _Ensemble:
    """One step size: ratios measured/predicted with errors, and 1 + correlation, by name; measured variances (n, m) and
    means (h,) of singular values with what was predicted."""

    eta: float
    moments: dict[str, Ratio]
    correlation: Ratio | None
    variance: FloatArray
    predicted_variance: FloatArray
    singular_values: FloatArray
    predicted_singular_values: FloatArray


def joint_matrix_moments(functions: Any, runs: Sequence[Runs], data: Mapping[str, Tensor] | None = None) -> Verdict:
    """Mean and covariance of W over replicas tend to the derived ones as η goes to zero at one σ.

    Needs SGD with label noise on a target {"y": (1, n, m)} of the rank that the factors leave room for, at three or
    more step sizes with the observable "predictor" (T, R, n, m) recorded after relaxation. details, by η: the ratios,
    "variance" and "singular_values" with what was predicted.
    """
    runs = sorted(runs, key=step_size, reverse=True)
    n = min(run.config["replicas"] for run in runs)
    found = []
    for run in runs:
        target = _target(run, data)
        fluctuation, reason = _fluctuation(run, target)
        reason = reason or _unbalanced(functions, run)
        if reason:
            return undecided(MECHANISM, CRITERION, f"η = {step_size(run):.3g}: {reason}", n=n)
        found.append(_compare(functions, run, target, fluctuation))
    etas = [ensemble.eta for ensemble in found]
    parts = {}
    for name in found[0].moments:
        ratios, errors = zip(*(ensemble.moments[name] for ensemble in found), strict=True)
        parts[name] = MOMENTS.judge(MECHANISM, etas, ratios, errors, n)
    pairs = [ensemble.correlation for ensemble in found if ensemble.correlation is not None]
    if pairs:
        ratios, errors = zip(*pairs, strict=True)
        parts["correlation of W_ij and W_ji"] = INDEPENDENT.judge(MECHANISM, etas, ratios, errors, n)
    return combine(parts, CRITERION, _details(found))


def _target(run: Runs, data: Mapping[str, Tensor] | None) -> _Target:
    require_settings(run, zero=("momentum", "weight_decay"), positive=("label_noise",))
    y = data_of(run, data, ("y",))["y"]
    if y.ndim != 3 or len(y) != 1:
        raise CheckError(f"data['y'] has shape {tuple(y.shape)}: the check needs one matrix, (1, n, m)")
    left, values, right = torch.linalg.svd(y[0])
    values = values[values > ZERO * values[0]]
    rank = min(min(leaf.shape[-2:]) for leaf in run.final.values())
    if len(values) != rank:
        raise CheckError(f"the target has rank {len(values)}, and the law is stated around one of rank {rank}")
    return _Target(y[0], values.numpy(), left, right.mT)


def _fluctuation(run: Runs, target: _Target) -> tuple[FloatArray, str]:
    """W − Y in the frame of Y, (T, R, n, m), and why it is of no use."""
    w = observable(run, "predictor").to(torch.float64)
    if w.ndim != 4 or len(w) < 2 or w.shape[1] < 4:
        raise CheckError(f"'predictor' has shape {tuple(w.shape)}: the check needs (snapshots, replicas, n, m)")
    frame = (target.left.mT @ (w - target.y) @ target.right).numpy()
    if not np.isfinite(frame).all():
        return frame, "W is not finite"
    along = np.trace(frame, axis1=-2, axis2=-1)
    for name, series in (("mean", along), ("variance", (frame**2).sum((-2, -1)))):
        drift = drift_of_halves(series)
        if abs(drift) > STEADY:
            return frame, f"the {name} still drifts ({drift:+.1f} standard errors): record later"
    return frame, ""


def _unbalanced(functions: Any, run: Runs) -> str:
    drift = charge_drift(functions, MECHANISM, run.final)
    return f"the charge is not settled: {drift:.2g} of what moves it is left" if drift > BALANCED else ""


def _compare(functions: Any, run: Runs, target: _Target, frame: FloatArray) -> _Ensemble:
    settings = (target.y, step_size(run), setting(run, "label_noise"))
    rank = len(target.values)
    variance = formula(functions, f"{MECHANISM}_frame_variance")(*settings).numpy()
    shift = (target.y - formula(functions, f"{MECHANISM}_mean")(*settings)).numpy()
    shift = np.diagonal(target.left.numpy().T @ shift @ target.right.numpy())[:rank]
    values = formula(functions, f"{MECHANISM}_singular_values")(*settings).numpy()[:rank]
    measured = torch.linalg.svdvals(observable(run, "predictor").to(torch.float64))[..., :rank].numpy()
    centred = frame - frame.mean((0, 1))
    squares = (centred**2).mean(0)
    moments = {
        f"variance of {kind}": _ratio((squares[:, chosen] / variance[chosen]).mean(-1))
        for kind, chosen in _kinds(variance.shape[0], variance.shape[1], rank).items()
        if chosen.any()
    }
    moved = -np.diagonal(frame, axis1=-2, axis2=-1)[..., :rank].mean(0)
    moments["shift of the mean"] = _ratio((moved / shift).mean(-1))
    # Singular values of W less its entries along those of Y: what the other entries do to them, in pairs and alone.
    excess = (values - target.values + shift).sum()
    if abs(excess) > ZERO * abs(shift.sum()):
        gained = (measured - target.values).sum(-1).mean(0) + moved.sum(-1)
        moments["excess of the nuclear norm"] = _ratio(gained / excess)
    return _Ensemble(
        eta=settings[1],
        moments=moments,
        correlation=_correlation(centred[..., :rank, :rank]),
        variance=squares.mean(0),
        predicted_variance=variance,
        singular_values=measured.mean((0, 1)),
        predicted_singular_values=values,
    )


def _kinds(rows: int, columns: int, rank: int) -> dict[str, np.ndarray]:
    """Masks (rows, columns) of the kinds of entries that have a variance to leading order."""
    row, column = np.arange(rows)[:, None], np.arange(columns)[None, :]
    within = (row < rank) & (column < rank)
    return {
        "diagonal entries": within & (row == column),
        "other entries within the rank": within & (row != column),
        "entries beside the rank": ~within & ((row < rank) | (column < rank)),
    }


def _ratio(values: FloatArray) -> Ratio:
    estimate = replica_mean(values)
    return estimate.value, estimate.standard_error


def _correlation(within: FloatArray) -> Ratio | None:
    """1 + the mean correlation of W_ij and W_ji over i < j; within: (T, R, h, h), centred."""
    i, j = np.triu_indices(within.shape[-1], 1)
    if not len(i):
        return None
    scaled = within / np.sqrt((within**2).mean((0, 1)))
    value, error = _ratio((scaled[..., i, j] * scaled[..., j, i]).mean((0, -1)))
    return 1 + value, error


def _details(found: list[_Ensemble]) -> dict[str, Any]:
    return {
        "eta": [ensemble.eta for ensemble in found],
        "ratios": [ensemble.moments for ensemble in found],
        "variance": [ensemble.variance for ensemble in found],
        "predicted_variance": [ensemble.predicted_variance for ensemble in found],
        "singular_values": [ensemble.singular_values for ensemble in found],
        "predicted_singular_values": [ensemble.predicted_singular_values for ensemble in found],
    }
