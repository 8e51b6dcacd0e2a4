"""How many directions of zero loss lie beside the orbit of a group: noise moves the solution along them."""

from __future__ import annotations

from typing import Any

import torch

from numeric.flat_points import flattened
from numeric.training.model import Point

RANK = 1e-8
"""Singular values below this part of the largest count as zero."""


def free_directions(functions: Any, point: Point, gradients: Point) -> int:
    """Dimension of the kernel of the gradients less that of the orbit; 0 where a solution is one orbit, locally.

    functions: the formulas of a noise equilibrium; gradients: of single samples and outputs, leaves (S, *shape).
    """
    rows = flattened(gradients, 1)
    orbit = int(torch.linalg.matrix_rank(functions.noise_equilibrium_fields(point), rtol=RANK).sum())
    return rows.shape[1] - int(torch.linalg.matrix_rank(rows, rtol=RANK)) - orbit
