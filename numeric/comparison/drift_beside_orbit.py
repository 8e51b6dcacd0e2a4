"""Whether the drift of label noise along zero loss stays on the orbit of a group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from numeric.comparison.label_noise_gradients import predictor_gradients
from numeric.flat_points import flattened, shapes_of, unflattened
from numeric.training.model import Model, Point

RANK = 1e-8
"""Singular values below this part of the largest count as zero."""


def drift_beside_orbit(functions: Any, model: Model, point: Point, data: Mapping[str, Tensor]) -> float:
    """Length of the drift's part across the orbit over the whole length; 0 where noise leaves w = φ(θ) alone.

    The drift along the set of zero loss is −(η²/4) of the gradient of E‖∇φ‖², projected on the kernel of ∇φ (Li et al.
    2110.06914). functions: the formulas of a noise equilibrium; point: one replica's leaves, not in equilibrium; data:
    the inputs and constants of the model.
    """

    def second_moment(at: Point) -> Tensor:
        return flattened(predictor_gradients(model, at, data), 1).square().sum()

    slope = flattened(torch.func.grad(second_moment)(point))
    drift = slope - _span(flattened(predictor_gradients(model, point, data), 1), slope)
    size = torch.eye(len(slope), dtype=slope.dtype, device=slope.device)
    # The group's vectors leave out what it does not move: (D, *coordinates, moved) tells which entries they have.
    entries = functions.noise_equilibrium_vector(unflattened(size, shapes_of(point)))
    fields = functions.noise_equilibrium_fields(point) @ entries.movedim(0, -1)
    beside = drift - _span(fields.reshape(-1, len(slope)), drift)
    return float(beside.norm() / drift.norm())


def _span(rows: Tensor, vector: Tensor) -> Tensor:
    """The vector's projection on the span of the rows (S, D)."""
    _, values, directions = torch.linalg.svd(torch.linalg.qr(rows, mode="r").R, full_matrices=False)
    kept = directions[values > RANK * values[0]]
    return kept.mT @ (kept @ vector)
