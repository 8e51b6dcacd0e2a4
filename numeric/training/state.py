"""The part of training that steps change."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from numeric.training.model import Point
from numeric.training.optimizer import Optimizer


@dataclass
class State:
    """The next step's index, θ and the momentum's velocity (empty without momentum), leaves (R, *shape)."""

    step: int
    point: Point
    velocity: Point


def start_state(initial: Point, optimizer: Optimizer) -> State:
    """State before step 0: a copy of the starting point, velocity zero."""
    point = {name: leaf.clone() for name, leaf in initial.items()}
    velocity = {name: torch.zeros_like(leaf) for name, leaf in initial.items()} if optimizer.momentum else {}
    return State(0, point, velocity)
