"""Minimisers of ‖x·W − y‖²/(2n) + (λ/2) c N(W) for a norm N with a known proximal map: groups, nuclear norm."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

STEPS = 200_000
SETTLED = 1e-13  # relative change over one step at which the iteration has ended


def shrink_rows(matrix: Tensor, threshold: float) -> Tensor:
    """Proximal map of threshold Σ_g ‖row g‖."""
    norms = torch.linalg.vector_norm(matrix, dim=-1, keepdim=True)
    return matrix * (1 - threshold / norms.clamp_min(threshold)).clamp_min(0)


def shrink_singular_values(matrix: Tensor, threshold: float) -> Tensor:
    """Proximal map of threshold times the nuclear norm."""
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    return left * (values - threshold).clamp_min(0) @ right


def proximal_gradient(
    prox: Callable[[Tensor, float], Tensor], x: Tensor, y: Tensor, strength: float, shape: tuple[int, int]
) -> tuple[Tensor, float]:
    """The minimiser (g, k) and the relative change of the last step; x: (n, g k), y: (n,), strength: λ c/2.

    Accelerated proximal gradient with restarts where the objective would rise.
    """
    count = len(x)
    step = count / float(torch.linalg.matrix_norm(x, 2)) ** 2
    w = ahead = torch.zeros(shape, dtype=x.dtype)
    momentum, change = 1.0, float("inf")
    for _ in range(STEPS):
        gradient = ((x @ ahead.flatten() - y) @ x / count).reshape(shape)
        moved = prox(ahead - step * gradient, step * strength)
        if float(((ahead - moved) * (moved - w)).sum()) > 0:
            momentum = 1.0
        following = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        change = float((moved - w).norm() / moved.norm().clamp_min(1e-300))
        ahead = moved + (momentum - 1) / following * (moved - w)
        w, momentum = moved, following
        if change <= SETTLED:
            break
    return w, change
