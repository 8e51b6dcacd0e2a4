"""The path along its orbit on which noise takes a point to the equilibrium gauge, by the derived mean velocity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from numeric.training.model import Point

LONGEST = 0.05
"""Of a step of the midpoint rule, in units of the fastest relaxation time: its error is then below 1e-3."""


def relaxation_path(
    functions: Any, point: Point, gradients: Point, eta: float, weight_decay: float, steps: Sequence[int]
) -> Tensor:
    """Charges (T, ...) at the given training steps, from `point` at step 0; its noise moves along the orbit with it.

    functions: the formulas of a noise equilibrium; gradients: leaves with an axis of samples before each shape.
    """
    move, charges = functions.noise_equilibrium_move, functions.noise_equilibrium_charges
    fastest = float(functions.noise_equilibrium_rates(point, gradients, eta, weight_decay).max())
    at, path = 0, []

    def velocity(t: Tensor | None) -> Tensor:
        here, noise = (point, gradients) if t is None else _moved(move, point, gradients, t)
        return functions.noise_equilibrium_velocity(here, noise, eta, weight_decay)

    for step in steps:
        count = max(1, int((step - at) * fastest / LONGEST) + 1) if step > at else 0
        for _ in range(count):
            length = (step - at) / count
            t = length * velocity(length / 2 * velocity(None))
            point, gradients = _moved(move, point, gradients, t)
        at = step
        path.append(charges(point))
    return torch.stack(path)


def _moved(move: Callable[[Point, Tensor], Point], point: Point, gradients: Point, t: Tensor) -> tuple[Point, Point]:
    # The axis of samples stands first in a leaf of the gradients, so one axis in front of t is one for the samples.
    return move(point, t), move(gradients, -t.unsqueeze(0))
