"""The verdict on a design: does training end where the explicitly regularized problem for the target does?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from numeric.comparison.convergence_order import ConvergenceOrder
from numeric.comparison.design.constrained import smallest_divergence, smallest_penalty
from numeric.comparison.design.penalised import SOLVED, nearby, penalised
from numeric.comparison.design.proximal import SETTLED, proximal_gradient, shrink_rows, shrink_singular_values
from numeric.comparison.design.wanted import Wanted
from numeric.comparison.exact_law import ExactLaw
from numeric.comparison.mechanisms.combine import combine, undecided
from numeric.comparison.mechanisms.label_noise import label_noise
from numeric.comparison.mechanisms.reading import (
    plain_regression_of,
    predictor_at_end,
    require_settings,
    setting,
    step_size,
)
from numeric.comparison.mechanisms.weight_decay import weight_decay
from numeric.comparison.verdict import Verdict
from numeric.errors import CheckError
from numeric.row_space import relative_misfit, row_space
from numeric.training.model import as_model
from numeric.training.runs import Runs

EXACT = ExactLaw(tolerance=1e-5)
ORDER = ConvergenceOrder(order=1, tolerance=0.1)
FITTED = 1e-8  # relative misfit up to which Xw = y counts as reached
EXTRAPOLATED = 0.05  # of the smallest distance: what may remain at eta = 0
SAME = 1e-7  # relative distance at every step size that is what is left of the fit, not of the order η
MINIMUM = 1e-8  # relative misfit of an explicit solution of Xw = y
STATIONARY = 1e-7  # ‖gradient of the training objective‖ over λ ‖θ‖ at an end point

SOLUTIONS = {
    "mirror": f"distance of the end point of gradient descent to the explicit minimum of the target's divergence among "
    f"the solutions of Xw = y: {ORDER.criterion}; and its linear extrapolation to eta = 0 is below {EXTRAPOLATED:.0%} "
    f"of the smallest distance; or all distances are below {SAME:g}",
    "weight_decay": f"relative distance of the end point to the explicit solution for the target: {EXACT.criterion}",
}


def judge_mirror(wanted: Wanted, runs: Sequence[Runs], data: Mapping[str, Tensor], start: float) -> Verdict:
    """Distance to the minimum of the target's divergence, over three or more step sizes; start: w of one copy, 1/d for
    the simplex, which is one more equation among the data."""
    criterion = SOLUTIONS["mirror"]
    ordered = sorted(runs, key=step_size, reverse=True)
    for run in ordered:
        require_settings(run, zero=("momentum", "weight_decay", "label_noise", "batch_size"))
    x, y = plain_regression_of(ordered[0], data)
    if wanted.signs == "simplex":
        x = torch.cat([x, torch.ones_like(x[:1])])
        y = torch.cat([y, torch.ones_like(y[:1])])
    rows, target = row_space(x, y)
    ends = torch.stack([predictor_at_end(run)[0] for run in ordered])
    misfit = float(relative_misfit(x, y, ends).max())
    if not misfit <= FITTED:
        return undecided("mirror", criterion, f"training has not reached Xw = y (relative misfit {misfit:.2g})")
    solution, left = smallest_divergence(wanted, rows, target, start)
    if not left <= MINIMUM:
        return undecided("mirror", criterion, f"the explicit problem was solved to {left:.1g} only")
    outside = (ends - solution) / torch.linalg.vector_norm(solution)
    etas = [step_size(run) for run in ordered]
    details: dict[str, Any] = {"eta": torch.tensor(etas), "coefficients": ends[-1], "solution": solution}
    distances = torch.linalg.vector_norm(outside, dim=-1)
    if float(distances.max()) <= SAME:  # a quadratic potential: gradient descent stays on its flow
        verdict = ExactLaw(tolerance=SAME).judge("mirror", distances)
        return combine({"at every step size": verdict}, criterion, details)
    order = ORDER.judge("mirror", etas, distances)
    coarse, fine = etas[-2:]
    intercept = (coarse * outside[-1] - fine * outside[-2]) / (coarse - fine)
    remaining = float(torch.linalg.vector_norm(intercept) / torch.linalg.vector_norm(outside[-1]))
    details["remaining"] = remaining
    if remaining < EXTRAPOLATED:
        limit = Verdict("mirror", "confirmed", 0.0, remaining, None, None, len(etas), criterion)
    else:
        reason = f"{remaining:.0%} of the smallest distance remain at eta = 0: use smaller steps"
        limit = undecided("mirror", criterion, reason, n=len(etas))
    return combine({"order": order, "eta = 0": limit}, criterion, details)


def judge_label_noise(wanted: Wanted, functions: Any, run: Runs, data: Mapping[str, Tensor]) -> Verdict:
    """As the check of label noise, with the target's minimum among the solutions in place of the derived penalty's."""
    kinds = []

    def reference(rows: Tensor, target: Tensor, kappa: Tensor, solution: Tensor) -> tuple[Tensor | None, str]:
        starts = solution[-1] if not wanted.is_convex else solution[-1][:1]
        found = [smallest_penalty(wanted, rows, target, kappa, start) for start in starts]
        worst = max(misfit for _, misfit, _ in found)
        kinds.append(found[0][2])
        if not worst <= MINIMUM:
            return None, f"the explicit problem was solved to {worst:.1g} only"
        return torch.stack([w for w, _, _ in found]), ""

    verdict = label_noise(functions, [run], data, reference)
    return replace(verdict, details={**verdict.details, "explicit": "".join(kinds)})


def judge_weight_decay(wanted: Wanted, functions: Any, run: Runs, data: Mapping[str, Tensor]) -> Verdict:
    """The target's conditions hold at the end points, and these are explicit solutions: the one minimum where R is
    convex, else local ones sought from near the end points."""
    conditions = weight_decay(functions, [run], data)
    criterion = f"{SOLUTIONS['weight_decay']}; and {conditions.criterion}"
    if conditions.verdict == "inconclusive":  # training has not ended, so that its end point says nothing
        return replace(conditions, criterion=criterion)
    x, y = plain_regression_of(run, data)
    decay, ends = setting(run, "weight_decay"), predictor_at_end(run).detach()
    if wanted.is_convex:
        found = [penalised(wanted, x, y, decay)] * len(ends)
    else:
        found = [nearby(wanted, x, y, decay, end) for end in ends]
    worst = max(violation for _, violation in found)
    solution = torch.stack([w for w, _ in found])
    kind = "the minimum" if wanted.is_convex else "local minima sought from near the end points"
    details = {"coefficients": ends, "solution": solution, "explicit": kind}
    if worst <= SOLVED:
        distance = torch.linalg.vector_norm(ends - solution, dim=-1) / torch.linalg.vector_norm(solution, dim=-1)
        explicit = EXACT.judge("weight_decay", distance)
    else:
        reason = f"the explicit problem was solved to {worst:.1g} only"
        explicit = undecided("weight_decay", SOLUTIONS["weight_decay"], reason, n=len(ends))
    return combine({"explicit solution": explicit, "conditions": conditions}, criterion, details)


def judge_norms(wanted: Wanted, of: str, run: Runs, data: Mapping[str, Tensor]) -> Verdict:
    """Weight decay on groups or on a matrix: the end points (R, g, k) against accelerated proximal gradient."""
    require_settings(run, zero=("momentum", "label_noise", "batch_size"), positive=("weight_decay",))
    if not wanted.is_straight:
        raise CheckError("the explicit solution of groups and matrices is known for multiples of the norm alone")
    x, y = plain_regression_of(run, data)
    point = {name: leaf.to(torch.float64).requires_grad_() for name, leaf in run.final.items()}
    w = as_model(run.module).predictor(point)
    ends = w.detach()
    loss = 0.5 * (w.flatten(1) @ x.mT - y).square().mean(-1).sum()
    slopes = torch.autograd.grad(loss, tuple(point.values()))
    decay = setting(run, "weight_decay")
    stationary = np.sqrt(
        sum(float((g + decay * leaf.detach()).square().sum()) for g, leaf in zip(slopes, point.values(), strict=True))
        / sum(float((decay * leaf.detach()).square().sum()) for leaf in point.values())
    )
    criterion = SOLUTIONS["weight_decay"]
    strength = decay / 2 * float(wanted.slope(torch.ones((), dtype=torch.float64)))
    prox = shrink_rows if of == "groups" else shrink_singular_values
    solution, change = proximal_gradient(prox, x, y, strength, (ends.shape[1], ends.shape[2]))
    details = {"coefficients": ends.flatten(1), "solution": solution.flatten(), "stationary": stationary}
    if not stationary <= STATIONARY:
        reason = f"training is not stationary (relative gradient {stationary:.2g}): train longer"
        return undecided("weight_decay", criterion, reason, details, len(ends))
    if not change <= 10 * SETTLED:
        reason = f"proximal gradient still moved by {change:.1g} a step"
        return undecided("weight_decay", criterion, reason, details, len(ends))
    distance = (ends - solution).flatten(1).norm(dim=-1) / solution.norm()
    verdict = EXACT.judge("weight_decay", distance)
    verdict.details.update(details)
    return verdict
