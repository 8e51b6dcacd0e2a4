"""Minimisers of Σ κ_j R(|w_j|), or of Σ Q(w_j) less a linear term, among the solutions of A w = b."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from numeric.comparison.design.wanted import Wanted
from numeric.comparison.mechanisms.constrained_minimum import dual_newton, weighted_basis_pursuit

REWEIGHTINGS = 30
TINY = 1e-9  # of the largest coefficient, where R' is read off for coefficients that are zero
FIXED = 1e-12  # relative change at which reweighting has ended
NO_SLOPE = 1e-300  # of w where it rests at zero, for Newton's matrix


def smallest_penalty(
    wanted: Wanted, rows: Tensor, target: Tensor, kappa: Tensor, start: Tensor
) -> tuple[Tensor, float, str]:
    """argmin Σ κ_j R(|w_j|), the relative misfit left, and which minimum it is, in words.

    rows: (r, d) orthonormal, target: (r,), kappa: (d,). A straight R is a linear program, a convex one a dual problem
    in (r,) numbers. For another R, one local minimum: linear programs with weights κ R'(|w|), from `start` (d,) on,
    until w stays.
    """
    if wanted.is_straight:
        weights = kappa * wanted.slope(torch.ones_like(kappa))
        return weighted_basis_pursuit(rows, target, weights), 0.0, "the minimum"
    if wanted.is_convex:
        threshold = wanted.slope_at_zero

        def primal(tau: Tensor) -> Tensor:
            excess = tau.abs() / kappa
            size = wanted.inverse_slope(excess.clamp_min(threshold))
            return torch.where(excess > threshold, tau.sign() * size, 0.0)

        def slope(tau: Tensor) -> Tensor:
            size = primal(tau).abs()
            return torch.where(size > 0, 1 / (kappa * wanted.curvature(size.clamp_min(1e-30))), NO_SLOPE)

        w, misfit = dual_newton(primal, slope, rows, target, _dual(wanted, primal, rows, target, kappa))
        return w, misfit, "the minimum"
    w = start
    for _ in range(REWEIGHTINGS):
        floor = TINY * float(w.abs().max())
        moved = weighted_basis_pursuit(rows, target, kappa * wanted.slope(w.abs().clamp_min(floor)))
        change = float((moved - w).norm() / w.norm())
        w = moved
        if change <= FIXED:
            break
    return w, 0.0, "a local minimum, sought from the end of training"


def _dual(wanted: Wanted, primal: Callable[[Tensor], Tensor], rows: Tensor, target: Tensor, kappa: Tensor) -> Tensor:
    """ν (r,) that maximises b·ν − Σ_j max_w (τ_j w − κ_j R(|w|)) with τ = Aᵀν, smooth and concave, by L-BFGS."""

    def negative(point: np.ndarray) -> tuple[float, np.ndarray]:
        nu = torch.from_numpy(point)
        tau = rows.mT @ nu
        w = primal(tau)
        cost = torch.where(w != 0, kappa * wanted.penalty(w.abs().clamp_min(1e-300)), 0.0)
        return float((tau * w - cost).sum() - target @ nu), (rows @ w - target).numpy()

    options = {"maxiter": 5_000, "ftol": 1e-16, "gtol": 1e-11}
    return torch.from_numpy(minimize(negative, target.numpy(), jac=True, method="L-BFGS-B", options=options).x)


def smallest_divergence(wanted: Wanted, rows: Tensor, target: Tensor, start: float) -> tuple[Tensor, float]:
    """The end of mirror flow from w = `start` of each copy, and the relative misfit left.

    rows: (r, d), target: (r,). One copy: argmin Σ Q(w_j) − Q'(w_0) w_j. Two: w = a − b with Q'(a) = Q'(w_0) + τ and
    Q'(b) = Q'(w_0) − τ, which is the infimal convolution; a copy whose Q' would have to be smaller than Q'(0+) rests at
    zero.
    """
    centre = (
        _odd(wanted.slope)(torch.tensor(start, dtype=torch.float64)) if start else torch.zeros((), dtype=rows.dtype)
    )

    def copy(tau: Tensor) -> Tensor:
        if wanted.signs == "odd":
            return tau.sign() * wanted.inverse_slope(tau.abs())
        return wanted.inverse_slope(tau)

    def response(tau: Tensor) -> Tensor:
        size = copy(tau)
        if wanted.signs == "odd":  # Q'' is positive at zero as well
            return 1 / wanted.curvature(size.abs().clamp_min(1e-12))
        return torch.where(size != 0, 1 / wanted.curvature(size.abs().clamp_min(1e-30)), NO_SLOPE)

    def primal(tau: Tensor) -> Tensor:
        single = copy(centre + tau)
        return single - copy(centre - tau) if wanted.signs == "difference" else single

    def slope(tau: Tensor) -> Tensor:
        single = response(centre + tau)
        return single + response(centre - tau) if wanted.signs == "difference" else single

    return dual_newton(primal, slope, rows, target, torch.zeros_like(target))


def _odd(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda w: w.sign() * function(w.abs())
