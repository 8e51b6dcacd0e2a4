"""Check of mirror flow: does training end where the derived potential, at the scale that it ends at, says?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from numeric.comparison.convergence_order import ConvergenceOrder
from numeric.comparison.mechanisms.combine import combine, undecided
from numeric.comparison.mechanisms.constrained_minimum import SOLVED, dual_newton
from numeric.comparison.mechanisms.kkt_residual import KKTResidual, kkt_residual
from numeric.comparison.mechanisms.reading import (
    coordinates_at_end,
    formula,
    regression_of,
    require_settings,
    setting,
    step_size,
)
from numeric.comparison.verdict import Outcome, Verdict
from numeric.errors import CheckError
from numeric.row_space import row_space
from numeric.training.runs import Runs

MECHANISM = "mirror"
ORDER = ConvergenceOrder(order=1, tolerance=0.1)
SECOND_ORDER = ConvergenceOrder(order=2, tolerance=0.2)  # wider: the next order is felt, and batches are random
FITTED = 1e-8  # relative misfit up to which Xw = y counts as reached; the residuals sought are near 1e-3
EXTRAPOLATED = 0.05  # of the smallest residual: what may remain at eta = 0
ON_LEAF = 1e-12  # relative error of a start that still lies on the predicted leaf
RIVAL = 0.5  # of the residual at the first scale: what the one at the last scale must stay below, at the smallest eta

CRITERION = (
    f"KKT residual (relative distance of Q'(w) to the row space of X) for every start scale: {ORDER.criterion}; and "
    f"its linear extrapolation to eta = 0 is below {EXTRAPOLATED:.0%} of the smallest residual, inconclusive above; "
    f"inconclusive unless the relative misfit is below {FITTED:g}; refuted if no value of Q' belongs to a measured w. "
    "With weight decay the same at the decayed scale, wherever training stops. Minibatch SGD at the scale of its last "
    f"charges: {SECOND_ORDER.criterion}. For both, at the smallest eta, below {RIVAL:g} of the residual at the scale "
    "of the start, else refuted"
)


def mirror(functions: Any, runs: Sequence[Runs], data: Mapping[str, Tensor] | None = None) -> Verdict:
    """τ = Q'(w) at the end of training lies in the row space of X up to a part that vanishes with η.

    Needs gradient descent without momentum on data {"x": (n, d), "y": (n,)} that can be fitted, started at
    mirror_start(α), at three or more step sizes for each start scale α; no observable. Runs with minibatches, and
    others with weight decay, belong to the laws of the scale and are judged at the scale that these give at the end:
    the residual of plain gradient descent and of weight decay is of order η, that of SGD of order η². w(τ) is
    inverted numerically, also where τ has a finite range. details: "eta" (k,) of all plain runs; by start scale
    "deviation" and "distance" to the independently computed minimiser (k,), relative, NaN at values of η without a
    run, and "coefficients" and "minimiser" at the smallest η; "sgd" and "decay": "eta" and "deviation" at the last and
    at the first scale.
    """
    plain, batches, decaying = _by_kind(runs)
    parts: dict[str, Verdict] = {}
    details: dict[str, Any] = {}
    if plain:
        _judge_plain(functions, plain, data, parts, details)
    if batches:
        parts |= _judge_moved(functions, batches, data, "sgd", details)
    if decaying:
        parts |= _judge_moved(functions, decaying, data, "decay", details)
    return combine(parts, CRITERION, details)


def _by_kind(runs: Sequence[Runs]) -> tuple[list[Runs], list[Runs], list[Runs]]:
    """Plain, with minibatches, with weight decay; each from the largest step to the smallest."""
    kinds: tuple[list[Runs], list[Runs], list[Runs]] = ([], [], [])
    for run in sorted(runs, key=step_size, reverse=True):
        has_batches, has_decay = setting(run, "batch_size") > 0, setting(run, "weight_decay") > 0
        zero = ["momentum", "label_noise", *(["weight_decay"] if has_batches else [])]
        require_settings(run, zero=zero)
        kinds[1 if has_batches else 2 if has_decay else 0].append(run)
    return kinds


def _judge_plain(
    functions: Any,
    runs: Sequence[Runs],
    data: Mapping[str, Tensor] | None,
    parts: dict[str, Verdict],
    details: dict[str, Any],
) -> None:
    """Gradient descent, for every scale of the start."""
    scales: dict[float, list[Runs]] = {}
    for run in runs:
        scales.setdefault(_start_scale(functions, run), []).append(run)
    etas = sorted({step_size(run) for run in runs}, reverse=True)
    details["eta"] = torch.tensor(etas, dtype=torch.float64)
    for alpha, group in sorted(scales.items(), reverse=True):
        label = f"alpha = {alpha:.4g}"
        order, extrapolation, found = _judge_scale(functions, alpha, group, data)
        parts |= {f"{label}, order": order, f"{label}, eta = 0": extrapolation}
        for key in ("deviation", "distance"):
            if key in found:
                found[key] = _at_all(etas, [step_size(run) for run in group], found[key])
        for key, value in found.items():
            details.setdefault(key, {})[label] = value


def _judge_scale(
    functions: Any, alpha: float, runs: list[Runs], data: Mapping[str, Tensor] | None
) -> tuple[Verdict, Verdict, dict[str, Any]]:
    residuals = [_residual(functions, run, alpha, data) for run in runs]
    etas = [step_size(run) for run in runs]
    ends = torch.stack([coordinates_at_end(functions, MECHANISM, run)[0] for run in runs])
    misfit = max(residual.misfit for residual in residuals)
    deviation = torch.tensor([residual.size for residual in residuals], dtype=torch.float64)
    found: dict[str, Any] = {"deviation": deviation, "misfit": misfit, "coefficients": ends[-1]}
    unusable = _unusable(residuals, fitted=True)
    if unusable is not None:
        return unusable, unusable, found
    rows, target = row_space(*regression_of(functions, MECHANISM, runs[-1], data))
    found |= _minimiser(functions, alpha, rows, target, ends, residuals[-1].mirror[0])
    outside = torch.stack([residual.outside[0] for residual in residuals])
    return ORDER.judge(MECHANISM, etas, deviation), _extrapolate(etas, outside), found


def _judge_moved(
    functions: Any, runs: list[Runs], data: Mapping[str, Tensor] | None, kind: str, details: dict[str, Any]
) -> dict[str, Verdict]:
    """Runs whose scale moves: at the scale that they end at, and against the scale that they started from."""
    etas = [step_size(run) for run in runs]
    starts = [_start_scale(functions, run) for run in runs]
    if len(set(starts)) > 1:
        raise CheckError(f"the runs of kind {kind!r} start from several scales: pass one")
    last = [
        _residual(functions, run, _last_scale(functions, run, alpha, kind), data)
        for run, alpha in zip(runs, starts, strict=True)
    ]
    first = [_residual(functions, run, alpha, data) for run, alpha in zip(runs, starts, strict=True)]
    deviations = {"at the last scale": last, "at the scale of the start": first}
    details[kind] = {
        "eta": torch.tensor(etas, dtype=torch.float64),
        "deviation": {label: [found.size for found in residuals] for label, residuals in deviations.items()},
    }
    unusable = _unusable(last, fitted=kind == "sgd")
    if unusable is not None:
        return {f"{kind}, order": unusable}
    criterion = SECOND_ORDER if kind == "sgd" else ORDER
    ratio = last[-1].size / first[-1].size
    outcome: Outcome = "confirmed" if ratio < RIVAL else "refuted"
    return {
        f"{kind}, order": criterion.judge(MECHANISM, etas, [found.size for found in last]),
        f"{kind}, against the first scale": Verdict(MECHANISM, outcome, 0.0, ratio, None, None, len(runs), CRITERION),
    }


def _last_scale(functions: Any, run: Runs, alpha: float, kind: str) -> Tensor:
    """α at the end: from the charges of the last points, (R, d), or of the start after a time of decay."""
    if kind == "sgd":
        scale: Tensor = formula(functions, "mirror_scale")(run.final).to(torch.float64)
        return scale
    time = step_size(run) * run.config["steps"]
    decayed: Tensor = formula(functions, "mirror_decayed_scale")(
        torch.tensor(alpha, dtype=torch.float64), setting(run, "weight_decay"), time
    )
    return decayed


def _residual(functions: Any, run: Runs, scale: Tensor | float, data: Mapping[str, Tensor] | None) -> KKTResidual:
    x, y = regression_of(functions, MECHANISM, run, data)
    return kkt_residual(functions, coordinates_at_end(functions, MECHANISM, run), scale, x, y)


def _unusable(residuals: Sequence[KKTResidual], fitted: bool) -> Verdict | None:
    """A verdict where nothing can be measured; ``fitted``: whether training must have reached Xw = y."""
    misfit = max(residual.misfit for residual in residuals)
    if fitted and not misfit <= FITTED:
        reason = f"training has not reached Xw = y (relative misfit {misfit:.2g}): train longer"
        return undecided(MECHANISM, CRITERION, reason)
    unattained = sum(residual.unattained for residual in residuals)
    return _outside_range(unattained, len(residuals)) if unattained else None


def _at_all(etas: list[float], own: list[float], values: Tensor) -> Tensor:
    """values, one for each of `own` step sizes, at their places among `etas`, NaN elsewhere."""
    spread = torch.full((len(etas),), torch.nan, dtype=torch.float64)
    spread[[etas.index(eta) for eta in own]] = values
    return spread


def _extrapolate(etas: list[float], outside: Tensor) -> Verdict:
    """The vector of residuals at η = 0 on the line through the two smallest step sizes."""
    if len(set(etas[-2:])) < 2:
        return undecided(MECHANISM, CRITERION, "two distinct step sizes are needed to extrapolate")
    coarse, fine = etas[-2:]
    intercept = (coarse * outside[-1] - fine * outside[-2]) / (coarse - fine)
    remaining = float(torch.linalg.vector_norm(intercept) / torch.linalg.vector_norm(outside[-1]))
    if not remaining < EXTRAPOLATED:
        reason = f"{remaining:.0%} of the smallest residual remain at eta = 0: use smaller steps"
        return undecided(MECHANISM, CRITERION, reason, {"remaining": remaining}, len(etas))
    return Verdict(MECHANISM, "confirmed", 0.0, remaining, None, None, len(etas), CRITERION)


def _outside_range(count: int, n: int) -> Verdict:
    nan = float("nan")
    reason = f"{count} measured coefficients lie outside the range of the predicted w(tau)"
    return Verdict(MECHANISM, "refuted", 0.0, nan, None, None, n, CRITERION, {"reason": reason})


def _minimiser(functions: Any, alpha: float, rows: Tensor, target: Tensor, ends: Tensor, tau: Tensor) -> dict[str, Any]:
    """The minimiser of Σ Q(w_j) subject to Xw = y, from the dual problem, and the relative distances to it."""
    inverse, slope = formula(functions, "mirror_inverse"), formula(functions, "mirror_slope")
    w, residual = dual_newton(lambda t: inverse(t, alpha), lambda t: slope(t, alpha), rows, target, rows @ tau)
    if not residual <= SOLVED:
        return {}
    distance = torch.linalg.vector_norm(ends - w, dim=-1) / torch.linalg.vector_norm(w)
    return {"minimiser": w, "distance": distance}


def _start_scale(functions: Any, runs: Runs) -> float:
    """α of the run, from its start. CheckError when the start does not lie on the predicted leaf."""
    start = formula(functions, "mirror_start")
    unit = start(torch.ones((), dtype=torch.float64))
    if set(unit) != set(runs.initial):
        raise CheckError(f"the prediction has parameters {sorted(unit)}, and the runs {sorted(runs.initial)}")
    entries = torch.cat([runs.initial[name].flatten() / unit[name] for name in unit if float(unit[name]) != 0])
    alpha = entries.to(torch.float64).median()
    leaf = start(alpha)
    error = max(float((runs.initial[name] - leaf[name]).abs().max()) for name in leaf)
    if not (alpha > 0 and error <= ON_LEAF * float(alpha)):
        raise CheckError("the runs do not start at mirror_start(alpha) with one alpha for all coordinates: pass it")
    return float(np.float64(alpha))
