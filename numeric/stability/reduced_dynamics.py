"""The normal form in several critical directions, simulated with what was measured of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Ingredients:
    """Of each of R replicas: alpha (R, k, k), beta (R, k, k, k, k), and the covariance of the batch gradient along the
    directions, noise (R, k, k), and along ∇S_ij, drift_noise (R, k, k, k, k)."""

    alpha: Tensor
    beta: Tensor
    noise: Tensor
    drift_noise: Tensor


def simulate(
    functions: Any,
    found: Ingredients,
    positions: Tensor,
    distances: Tensor,
    *,
    eta: float,
    records: int,
    every: int,
    generator: torch.Generator,
) -> Tensor:
    """Y before every `every`-th step, (records, R, k, k), from x (k,) and Y (k, k) at the start.

    functions: the generated ones of sharpness_gap. The noise along ∇S_ij is drawn independently of that along the
    directions; it enters as noise of alpha.
    """
    replicas, size = found.alpha.shape[:2]
    x, y = positions.expand(replicas, size), distances.expand(replicas, size, size)
    root = _root(found.noise)
    drift_root = _root(found.drift_noise.reshape(replicas, size**2, size**2))
    rows = []
    for _ in range(records):
        rows.append(y)
        for draw, drift in zip(*_draws(generator, every, replicas, size, root, drift_root), strict=True):
            after = functions.sharpness_gap_directions_step(x, y, draw, found.alpha + drift, found.beta, eta)
            x, y = after["x"], after["y"]
    return torch.stack(rows)


def _draws(
    generator: torch.Generator, steps: int, replicas: int, size: int, root: Tensor, drift_root: Tensor
) -> tuple[Tensor, Tensor]:
    """Noise along the directions (steps, R, k) and along ∇S_ij (steps, R, k, k)."""
    drawn = torch.randn(steps, replicas, size + size**2, 1, generator=generator, dtype=root.dtype)
    noise = (root @ drawn[:, :, :size]).squeeze(-1)
    return noise, (drift_root @ drawn[:, :, size:]).reshape(steps, replicas, size, size)


def _root(covariance: Tensor) -> Tensor:
    """A symmetric root of positive semidefinite matrices."""
    values, vectors = torch.linalg.eigh(covariance)
    return (vectors * values.clamp_min(0).sqrt().unsqueeze(-2)) @ vectors.mT
