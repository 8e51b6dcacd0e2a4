"""Check of weight decay as a penalty on the predictor, at the end points of training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from numeric.comparison.exact_law import ExactLaw
from numeric.comparison.mechanisms.combine import combine, undecided
from numeric.comparison.mechanisms.reading import (
    coordinates_at_end,
    formula,
    regression_of,
    require_settings,
    setting,
)
from numeric.comparison.mechanisms.weight_decay_of_group import weight_decay_of_group
from numeric.comparison.verdict import Verdict
from numeric.errors import CheckError
from numeric.linear_readout import coordinate_model
from numeric.training.runs import Runs

MECHANISM = "weight_decay"
LAW = ExactLaw(tolerance=1e-6)
LOSS = "numeric.losses.linear_regression"
# Of the largest coefficient of the smallest solution without decay: nonzero above the first, zero below the second.
LIVING, DEAD = 1e-4, 1e-8
STATIONARY = 1e-8  # largest ‖∂(L + λ/2 ‖θ‖²)/∂θ‖ on nonzero coefficients, relative to λ max |θ|

CRITERION = (
    f"at end points where training is stationary (relative gradient below {STATIONARY:g}) and every coefficient is "
    f"above {LIVING:g} or below {DEAD:g} of those without decay: ∂L/∂w + (λ/2) R'(w) = 0 on the nonzero ones, "
    f"|∂L/∂w| ≤ (λ/2) R'(0+) on the others, ‖θ‖² = Σ R(w), all relative: {LAW.criterion}"
)


def weight_decay(functions: Any, runs: Sequence[Runs], data: Mapping[str, Tensor] | None = None) -> Verdict:
    """Training with weight decay λ ends where L(w) + (λ/2) Σ R(w_j) is stationary, with the smallest ‖θ‖ of its w.

    Needs gradient descent on numeric.losses.linear_regression with λ > 0, data {"x": (n, d), "y": (n,)}, all
    replicas at their end points; no observable. Where w = D c, all is said of c and of x D. For convex R the end point
    is the minimum; otherwise it is one stationary point, which may depend on the start. details: "coefficients" and
    "loss_gradient" (R, d), "predicted_loss_gradient" (R, d), NaN where w = 0, "penalty" and "norm" (R,).
    A prediction about the orbits of a group goes to `weight_decay_of_group`.
    """
    if hasattr(functions, f"{MECHANISM}_balance"):
        return weight_decay_of_group(functions, runs, data)
    parts, details = {}, {}
    for number, run in enumerate(runs):
        label = "end point" if len(runs) == 1 else f"end point of run {number + 1}"
        parts[label], found = _judge(functions, run, data)
        details[label] = found
    return combine(parts, CRITERION, details[label] if len(runs) == 1 else details)


def _judge(functions: Any, runs: Runs, data: Mapping[str, Tensor] | None) -> tuple[Verdict, dict[str, Any]]:
    require_settings(runs, zero=("momentum", "label_noise", "batch_size"), positive=("weight_decay",))
    if runs.config["loss"] != LOSS:
        raise CheckError(f"the check knows the gradient of {LOSS} only, and the run used {runs.config['loss']}")
    x, y = regression_of(functions, MECHANISM, runs, data)
    decay, w = setting(runs, "weight_decay"), coordinates_at_end(functions, MECHANISM, runs)
    unit = float((torch.linalg.pinv(x) @ y).abs().max())
    living, dead = w.abs() > LIVING * unit, w.abs() < DEAD * unit
    details: dict[str, Any] = {"coefficients": w, "nonzero": living.sum(-1)}
    reason = _unsettled(_gradient(functions, runs, x, y, decay), living, dead)
    if reason:
        return undecided(MECHANISM, CRITERION, reason, n=len(w)), details
    misfit = (w @ x.mT - y) @ x / len(x)
    penalty = formula(functions, MECHANISM)(torch.where(living, w, 0.0)).sum(-1)
    norm = formula(functions, f"{MECHANISM}_norm")(runs.final).to(torch.float64).sum(-1)
    slope = decay / 2 * formula(functions, f"{MECHANISM}_slope")(torch.where(living, w, 1.0))
    predicted = torch.where(living, -slope, torch.nan)
    details |= {"penalty": penalty, "norm": norm, "loss_gradient": misfit, "predicted_loss_gradient": predicted}
    # Just off zero; R' may tend to infinity there, and then nothing bounds the gradient.
    bound = decay / 2 * formula(functions, f"{MECHANISM}_slope")(torch.full_like(w, DEAD * unit))
    stationarity = (misfit + slope).abs() / torch.maximum(misfit.abs(), slope.abs())
    excess = (misfit.abs() - bound).clamp_min(0) / bound.abs()
    coordinates = torch.where(living, stationarity, excess)
    balance = (norm - penalty).abs() / norm.max()
    return LAW.judge(MECHANISM, torch.cat([coordinates, balance.unsqueeze(-1)], dim=-1)), details


def _gradient(functions: Any, runs: Runs, x: Tensor, y: Tensor, decay: float) -> Tensor:
    """|∂(L + λ/2 ‖θ‖²)/∂θ| over λ max |θ|, the largest over the parameters of each coefficient, (R, d)."""
    point = {name: leaf.to(torch.float64).requires_grad_() for name, leaf in runs.final.items()}
    predicted = coordinate_model(runs.module, functions, MECHANISM).predictor(point)
    loss = 0.5 * (predicted @ x.mT - y).square().mean(-1).sum()
    gradient = torch.autograd.grad(loss, tuple(point.values()))
    total = [(g + decay * leaf).abs() for g, leaf in zip(gradient, point.values(), strict=True)]
    if any(part.shape != predicted.shape for part in total):
        raise CheckError("the check needs parameters of the predictor's own shape, one set for every coefficient")
    largest = max(float(leaf.detach().abs().max()) for leaf in point.values())
    return torch.stack(total).amax(0).detach() / (decay * largest)


def _unsettled(gradient: Tensor, living: Tensor, dead: Tensor) -> str:
    if not bool(living.any()):
        return "every coefficient is zero: use a smaller weight decay or a larger start"
    between = int((~living & ~dead).sum())
    if between:
        return f"{between} coefficients are neither nonzero nor zero yet: train longer"
    largest = float(torch.where(living, gradient, 0.0).max())
    return f"training is not stationary (relative gradient {largest:.2g}): train longer" if largest > STATIONARY else ""
