"""Check of mirror flow: does gradient descent end at the minimiser of the derived potential?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from numeric.comparison.convergence_order import ConvergenceOrder
from numeric.comparison.mechanisms.combine import combine, undecided
from numeric.comparison.mechanisms.constrained_minimum import SOLVED, dual_newton
from numeric.comparison.mechanisms.monotone_inverse import monotone_inverse
from numeric.comparison.mechanisms.reading import (
    coordinates_at_end,
    formula,
    regression_of,
    require_settings,
    step_size,
)
from numeric.comparison.verdict import Verdict
from numeric.errors import CheckError
from numeric.row_space import relative_misfit, row_space
from numeric.training.runs import Runs

MECHANISM = "mirror"
ORDER = ConvergenceOrder(order=1, tolerance=0.1)
FITTED = 1e-8  # relative misfit up to which Xw = y counts as reached; the residuals sought are near 1e-3
EXTRAPOLATED = 0.05  # of the smallest residual: what may remain at eta = 0
ON_LEAF = 1e-12  # relative error of a start that still lies on the predicted leaf

CRITERION = (
    f"KKT residual (relative distance of Q'(w) to the row space of X) for every start scale: {ORDER.criterion}; and "
    f"its linear extrapolation to eta = 0 is below {EXTRAPOLATED:.0%} of the smallest residual, inconclusive above; "
    f"inconclusive unless the relative misfit is below {FITTED:g}; refuted if no value of Q' belongs to a measured w"
)


def mirror(functions: Any, runs: Sequence[Runs], data: Mapping[str, Tensor] | None = None) -> Verdict:
    """τ = Q'(w) at the end of training lies in the row space of X up to a part that vanishes in proportion to η.

    Needs gradient descent without momentum and weight decay on data {"x": (n, d), "y": (n,)} that can be fitted,
    started at mirror_start(α), at three or more step sizes for each start scale α; no observable. w(τ) is
    inverted numerically, also where τ has a finite range. details: "eta" (k,) of all runs; by start scale "deviation"
    and "distance" to the independently computed minimiser (k,), relative, NaN at values of η without a run, and
    "coefficients" and "minimiser" at the smallest η.
    """
    scales: dict[float, list[Runs]] = {}
    for run in sorted(runs, key=step_size, reverse=True):
        require_settings(run, zero=("momentum", "weight_decay", "label_noise", "batch_size"))
        scales.setdefault(_start_scale(functions, run), []).append(run)
    parts: dict[str, Verdict] = {}
    etas = sorted({step_size(run) for run in runs}, reverse=True)
    details: dict[str, Any] = {"eta": torch.tensor(etas, dtype=torch.float64)}
    for alpha, group in sorted(scales.items(), reverse=True):
        label = f"alpha = {alpha:.4g}"
        order, extrapolation, found = _judge_scale(functions, alpha, group, data)
        parts |= {f"{label}, order": order, f"{label}, eta = 0": extrapolation}
        for key in ("deviation", "distance"):
            if key in found:
                found[key] = _at_all(etas, [step_size(run) for run in group], found[key])
        for key, value in found.items():
            details.setdefault(key, {})[label] = value
    return combine(parts, CRITERION, details)


def _judge_scale(
    functions: Any, alpha: float, runs: list[Runs], data: Mapping[str, Tensor] | None
) -> tuple[Verdict, Verdict, dict[str, Any]]:
    x, y = regression_of(functions, MECHANISM, runs[0], data)
    for run in runs[1:]:
        regression_of(functions, MECHANISM, run, data)
    rows, target = row_space(x, y)
    ends = torch.stack([coordinates_at_end(functions, MECHANISM, run)[0] for run in runs])
    tau = monotone_inverse(lambda t: formula(functions, "mirror_inverse")(t, alpha), ends)
    outside = (tau - tau @ rows.mT @ rows) / torch.linalg.vector_norm(tau, dim=-1, keepdim=True)
    deviation = torch.linalg.vector_norm(outside, dim=-1)
    misfit = float(relative_misfit(x, y, ends).max())
    etas = [step_size(run) for run in runs]
    found: dict[str, Any] = {"deviation": deviation, "misfit": misfit, "coefficients": ends[-1]}
    if not misfit <= FITTED:
        reason = f"training has not reached Xw = y (relative misfit {misfit:.2g}): train longer"
        return undecided(MECHANISM, CRITERION, reason), undecided(MECHANISM, CRITERION, reason), found
    if bool(torch.isnan(tau).any()):
        outside_range = _outside_range(int(torch.isnan(tau).sum()), len(runs))
        return outside_range, outside_range, found
    found |= _minimiser(functions, alpha, rows, target, ends, tau[-1])
    return ORDER.judge(MECHANISM, etas, deviation), _extrapolate(etas, outside), found


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
