"""Check of the label-noise drift: does training approach the minimiser of the derived penalty?"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from numeric.comparison.approach import Approach
from numeric.comparison.mechanisms.combine import undecided
from numeric.comparison.mechanisms.constrained_minimum import SOLVED, dual_newton, weighted_basis_pursuit
from numeric.comparison.mechanisms.reading import formula, observable, regression_of, require_settings
from numeric.comparison.mechanisms.zero_loss_drift import zero_loss_drift
from numeric.comparison.verdict import Verdict
from numeric.errors import CheckError
from numeric.row_space import relative_misfit, row_space
from numeric.training.runs import Runs

MECHANISM = "label_noise"
APPROACH = Approach(fraction=0.25)
FITTED = 0.05  # relative misfit of the limits of gradient descent; dying coordinates make the last part slow
DISTINCT = 0.1  # relative distance below which plain gradient descent ends where label noise would
POWER = 1e-9  # error of the exponent of a penalty that is a power

CRITERION = (
    "relative l1 distance between the solution that noise-free gradient descent reaches from the current point and "
    f"the minimiser of the penalty, against gradient descent alone: {APPROACH.criterion}"
)


Reference = Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor | None, str]]
"""(rows, target, κ, solution) -> the minimiser of a penalty on the solution set, (d,) or one for each replica, (R, d);
or None and why there is none."""


def label_noise(
    functions: Any,
    runs: Sequence[Runs],
    data: Mapping[str, Tensor] | None = None,
    reference_of: Reference | None = None,
) -> Verdict:
    """The limit of noise-free gradient descent approaches argmin Σ_j κ_j R(w_j) subject to Xw = y as SGD goes on.

    Needs one Runs of SGD with label noise on data {"x": (n, d), "y": (n,)} that can be fitted, whose observable
    "solution", (T, R, d), are the coefficients (c where w = D c) that noise-free gradient descent reaches from the
    points recorded at equally spaced steps, entry 0 from the start itself (numeric.experiments.label_noise makes it).
    κ_j is the mean square of column j. The reference comes from a linear program (HiGHS) where R is proportional to
    |w|, from the convex dual problem where R is a higher power; inconclusive where R is neither.
    reference_of: finds the reference instead, for the penalty of somebody else.
    A prediction about whole points goes to `zero_loss_drift`.
    """
    if hasattr(functions, f"{MECHANISM}_drift"):
        return zero_loss_drift(functions, runs, data)
    if len(runs) != 1:
        raise CheckError(f"the check takes one Runs with several replicas, and {len(runs)} were given")
    (run,) = runs
    require_settings(run, zero=("momentum", "weight_decay"), positive=("label_noise",))
    x, y = regression_of(functions, MECHANISM, run, data)
    solution = observable(run, "solution").to(torch.float64)
    if solution.ndim != 3 or solution.shape[-1] != x.shape[1]:
        raise CheckError(f"'solution' has shape {tuple(solution.shape)}, not (records, replicas, {x.shape[1]})")
    kappa = x.square().mean(0)
    rows, target = row_space(x, y)
    find = reference_of or (lambda rows, target, kappa, _: _reference(functions, rows, target, kappa))
    reference, reason = find(rows, target, kappa, solution)
    misfit = relative_misfit(x, y, solution)
    details: dict[str, Any] = {"steps": run.steps, "misfit": float(misfit.max())}
    if reference is None:
        return undecided(MECHANISM, CRITERION, reason, details, solution.shape[1])
    distance = ((solution - reference).abs().sum(-1) / reference.abs().sum(-1)).mT
    descent = float(distance[:, 0].mean())
    details |= {
        "distances": distance,
        "gradient_descent_distance": descent,
        "reference": reference,
        "coefficients": solution[-1].mean(0),
        "gradient_descent": solution[0].mean(0),
    }
    reason = _unfit(float(misfit.max()), descent)
    if reason:
        return undecided(MECHANISM, CRITERION, reason, details, solution.shape[1])
    verdict = APPROACH.judge(MECHANISM, distance[:, 1:], descent)
    verdict.details.update(details)
    return verdict


def _unfit(misfit: float, descent: float) -> str:
    if not misfit <= FITTED:
        return f"noise-free gradient descent has not reached Xw = y (relative misfit {misfit:.2g}): let it go on"
    if not descent >= DISTINCT:
        return f"plain gradient descent already ends within {descent:.2g} of the minimiser: start at a larger scale"
    return ""


def _reference(functions: Any, rows: Tensor, target: Tensor, kappa: Tensor) -> tuple[Tensor | None, str]:
    """The minimiser of Σ κ_j R(w_j) on the solution set, or None and why there is none."""
    power, factor = _power(formula(functions, MECHANISM))
    if power is None:
        return None, "the penalty is no power of |w|: no solver for its minimum"
    if power < 1 - POWER or factor <= 0:
        return None, f"the penalty {factor:.3g} |w|^{power:.3g} is not convex: its minimum is not unique"
    weights = factor * kappa
    if abs(power - 1) <= POWER:
        return weighted_basis_pursuit(rows, target, weights), ""
    exponent = 1 / (power - 1)

    def primal(tau: Tensor) -> Tensor:
        return tau.sign() * (tau.abs() / (power * weights)) ** exponent

    def slope(tau: Tensor) -> Tensor:
        # Bounded below, for it vanishes at tau = 0 where the exponent exceeds one.
        return exponent * (tau.abs() / (power * weights)).clamp_min(1e-12) ** (exponent - 1) / (power * weights)

    start = rows @ (weights * (rows.mT @ target))
    w, residual = dual_newton(primal, slope, rows, target, start)
    return (w, "") if residual <= SOLVED else (None, f"the dual problem was solved to {residual:.1g} only")


def _power(penalty: Any) -> tuple[float | None, float]:
    """(p, c) with penalty(w) = c |w|^p at all points tried, or (None, nan)."""
    w = torch.logspace(-3, 2, 31, dtype=torch.float64)
    positive, negative = penalty(w), penalty(-w)
    factor = float(penalty(torch.ones((), dtype=torch.float64)))
    if factor == 0 or not math.isfinite(factor):
        return None, math.nan
    power = float(torch.log(penalty(torch.tensor(math.e, dtype=torch.float64)) / factor))
    expected = factor * w**power
    fits = all(torch.allclose(values, expected, rtol=POWER, atol=0) for values in (positive, negative))
    return (power, factor) if fits else (None, math.nan)
