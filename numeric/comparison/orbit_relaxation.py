"""The path along its orbit on which noise takes a point to the equilibrium gauge, by the derived mean velocity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from numeric.training.model import Point

LONGEST = 0.1
"""Of a step of the midpoint rule, in units of the fastest relaxation time: its error is then about 1e-3."""


def relaxation_path(
    functions: Any, point: Point, gradients: Point, eta: float, weight_decay: float, steps: Sequence[float]
) -> Point:
    """Leaves (T, *shape) at the given training steps, from `point` at step 0; its noise moves along the orbit with it.

    functions: the formulas of a noise equilibrium; gradients: leaves with an axis of samples before each shape.
    """
    move, move_gradients = functions.noise_equilibrium_move, functions.noise_equilibrium_move_gradients
    fastest = float(functions.noise_equilibrium_rates(point, gradients, eta, weight_decay).max())
    at, path = 0.0, []

    def moved(t: Tensor) -> tuple[Point, Point]:
        # The axis of samples stands first in a leaf of the gradients: one axis in front of t is one for the samples.
        return move(point, t), move_gradients(gradients, t.unsqueeze(0))

    for step in steps:
        count = int((step - at) * fastest / LONGEST) + 1 if step > at else 0
        for _ in range(count):
            length = (step - at) / count
            half = length / 2 * functions.noise_equilibrium_velocity(point, gradients, eta, weight_decay)
            t = length * functions.noise_equilibrium_velocity(*moved(half), eta, weight_decay)
            point, gradients = moved(t)
        at = step
        path.append(point)
    return {name: torch.stack([there[name] for there in path]) for name in point}
