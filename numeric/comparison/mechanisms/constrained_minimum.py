"""Minimisers of separable convex penalties among the solutions of A w = b."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy.optimize import linprog
from torch import Tensor

from numeric.errors import CheckError

ITERATIONS, HALVINGS = 200, 40
SOLVED = 1e-9  # relative residual of A w = b at which the dual problem counts as solved
RIDGE = 1e-13  # of the largest curvature: keeps Newton's matrix regular where curvatures vanish


def weighted_basis_pursuit(rows: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """argmin Σ_j weights_j |w_j| subject to rows @ w = target, as a linear program solved by HiGHS.

    rows: (r, d), target: (r,), weights: (d,) positive; returns (d,). CheckError if HiGHS finds no optimum.
    """
    a, c = rows.numpy(), weights.numpy()
    found = linprog(
        np.concatenate([c, c]),
        A_eq=np.concatenate([a, -a], axis=1),
        b_eq=target.numpy(),
        bounds=(0, None),
        method="highs",
    )
    if not found.success:
        raise CheckError(f"basis pursuit has no solution for these data: {found.message}")
    positive, negative = np.split(found.x, 2)
    return torch.from_numpy(positive - negative)


def dual_newton(
    primal: Callable[[Tensor], Tensor],
    slope: Callable[[Tensor], Tensor],
    rows: Tensor,
    target: Tensor,
    start: Tensor,
) -> tuple[Tensor, float]:
    """argmin Σ_j Q_j(w_j) subject to rows @ w = target, by damped Newton steps on the dual problem.

    primal: τ ↦ w with Q'(w) = τ, slope: its derivative, both elementwise on (d,). At the minimum τ = rowsᵀ ν,
    so ν (r,), from `start` on, solves rows @ primal(rowsᵀ ν) = target. Returns w (d,) and the relative
    residual left, which the caller compares with SOLVED.
    """
    nu, scale = start, float(torch.linalg.vector_norm(target))
    residual = rows @ primal(rows.mT @ nu) - target
    for _ in range(ITERATIONS):
        size = float(torch.linalg.vector_norm(residual))
        if size <= 1e-13 * scale:
            break
        curvature = (rows * slope(rows.mT @ nu)) @ rows.mT
        curvature.diagonal().add_(RIDGE * float(curvature.diagonal().max()))
        direction = -torch.linalg.solve(curvature, residual)
        moved = _line_search(lambda point: rows @ primal(rows.mT @ point) - target, nu, direction, size)
        if moved is None:
            break
        nu, residual = moved
    return primal(rows.mT @ nu), float(torch.linalg.vector_norm(residual)) / scale


def _line_search(
    equation: Callable[[Tensor], Tensor], start: Tensor, direction: Tensor, size: float
) -> tuple[Tensor, Tensor] | None:
    """The first of the steps 1, ½, ¼, … that makes the residual smaller, or None at rounding."""
    for halving in range(HALVINGS):
        point = start + direction * 0.5**halving
        residual = equation(point)
        if float(torch.linalg.vector_norm(residual)) < size:
            return point, residual
    return None
