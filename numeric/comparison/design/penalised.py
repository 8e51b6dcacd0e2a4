"""Minimisers of ‖xw − y‖²/(2n) + (λ/2) Σ R(|w_j|), by algorithms that know nothing of parametrizations."""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from numeric.comparison.design.wanted import Wanted

NONZERO = 1e-7  # of the largest coefficient: smaller ones are set to zero before the last steps
NEWTON, HALVINGS = 60, 30
SOLVED = 1e-9  # relative gradient on the nonzero coefficients, and excess on the others
MOVED = 1e-3  # relative displacement from which a local solution is sought


def penalised(wanted: Wanted, x: Tensor, y: Tensor, decay: float) -> tuple[Tensor, float]:
    """The minimiser (d,) for a convex R, and the relative violation of its optimality conditions.

    x: (n, d), y: (n,). L-BFGS-B on w = p − q with p, q ≥ 0, where R is smooth; then Newton's method on the coefficients
    that are not zero.
    """
    x, y = x.detach(), y.detach()
    features, target = x.numpy(), y.numpy()
    count, size = features.shape

    def objective(split: np.ndarray) -> tuple[float, np.ndarray]:
        residual = features @ (split[:size] - split[size:]) - target
        safe = torch.from_numpy(np.maximum(split, 1e-300))
        slope = features.T @ residual / count
        value = residual @ residual / (2 * count) + decay / 2 * float(wanted.penalty(safe).sum())
        return value, np.concatenate([slope, -slope]) + decay / 2 * wanted.slope(safe).numpy()

    start = np.full(2 * size, 1e-3)
    options = {"maxiter": 20_000, "maxfun": 100_000, "ftol": 1e-16, "gtol": 1e-12, "maxcor": 40}
    found = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=[(0, None)] * (2 * size), options=options)
    w = torch.from_numpy(found.x[:size] - found.x[size:])
    return polished(wanted, x, y, decay, w)


def nearby(wanted: Wanted, x: Tensor, y: Tensor, decay: float, w: Tensor) -> tuple[Tensor, float]:
    """The local solution that Newton's method finds from a point near w (d,), and its violation."""
    moved = w * (1 + MOVED * torch.cos(torch.arange(len(w), dtype=torch.float64)))
    return polished(wanted, x, y, decay, moved)


def polished(wanted: Wanted, x: Tensor, y: Tensor, decay: float, w: Tensor) -> tuple[Tensor, float]:
    """Newton's method on the coefficients that are not zero, and the violation of all conditions at its end."""
    keep = w.abs() > NONZERO * w.abs().max()
    if wanted.slope_at_zero <= 0:
        keep = torch.ones_like(keep)
    features, signs, part = x[:, keep], w[keep].sign(), w[keep].abs()
    hessian = features.mT @ features / len(x) * signs.unsqueeze(1) * signs

    def gradient(size: Tensor) -> Tensor:
        residual = features @ (signs * size) - y
        return signs * (residual @ features) / len(x) + decay / 2 * wanted.slope(size)

    for _ in range(NEWTON):
        current = gradient(part)
        step = torch.linalg.lstsq(hessian + decay / 2 * torch.diag(wanted.curvature(part)), -current).solution
        scale = next(
            (
                0.5**k
                for k in range(HALVINGS)
                if bool((part + 0.5**k * step > 0).all())
                and float(gradient(part + 0.5**k * step).norm()) < float(current.norm())
            ),
            None,
        )
        if scale is None:
            break
        part = part + scale * step
    solution = torch.zeros_like(w)
    solution[keep] = signs * part
    residual = (x @ solution - y) @ x / len(x)
    unit = float(((x @ torch.zeros_like(w) - y) @ x / len(x)).abs().max())
    excess = residual[~keep].abs() - decay / 2 * wanted.slope_at_zero
    violation = max(float(gradient(part).abs().max()), float(excess.clamp_min(0).max()) if len(excess) else 0.0)
    return solution, violation / unit
