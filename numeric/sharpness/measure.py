"""The one interface of all sharpness measures, and how one of them is carried out with its evidence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from numeric.sharpness.border import check_border
from numeric.sharpness.cost import Cost
from numeric.sharpness.objective import Objective
from numeric.sharpness.parameters import Point
from numeric.sharpness.value import Value


class Measure(Protocol):
    """A sharpness measure: a small frozen dataclass of its options, called on an objective.

    name: as the field names it, also the word on the command line. `__call__` reads the point from
    `objective.parameters`, goes through `objective.batches()` with memory bounded by one batch, draws from `generator`
    alone, and leaves the model untouched.
    """

    @property
    def name(self) -> str: ...

    def __call__(self, objective: Objective, generator: torch.Generator) -> Value: ...


Move = Callable[[Point], Point]

# What counts as no change along an orbit: 1 %, the size at which the ranking of models in the literature is read.
ORBIT_TOLERANCE = 0.01
ORBIT_ERRORS = 3.0


@dataclass(frozen=True)
class Measurement:
    """A measure's value at a model, with the evidence.

    cost: forward+backward passes over the data (dimensionless). change_along_orbit: |v(gθ)/v(θ) − 1| for a symmetry g
    that leaves the function as it is (dimensionless), None where no blocks are bound. rounding: the larger one of
    both points.
    """

    name: str
    value: float
    standard_error: float | None
    cost: float
    change_along_orbit: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    random_error: float = 0.0
    rounding: float = 0.0

    @property
    def invariant(self) -> bool | None:
        """Whether the change along the orbit is at most `ORBIT_TOLERANCE`.

        None where it was not measured, and where it is larger but within `ORBIT_ERRORS` of the value's random errors
        and what rounding may do to it: the batches are the same at both points, random probes and roundings are not.
        """
        if self.change_along_orbit is None or self.change_along_orbit <= ORBIT_TOLERANCE:
            return None if self.change_along_orbit is None else True
        change = self.change_along_orbit * abs(self.value)
        return None if change <= ORBIT_ERRORS * self.random_error + self.rounding else False


def evaluate(measure: Measure, objective: Objective, *, seed: int, move: Move | None = None) -> Measurement:
    """Carry out a measure and, given a symmetry of the model's function, measure how far it moves along the orbit.

    move: θ -> gθ, a function-preserving map of the parameters (bound blocks give one). Both evaluations draw the same
    random numbers. seed: of the probes and starting points.
    Raises SharpnessError for a loss that is not finite, not deterministic or no mean over samples.
    """
    check_border(objective)
    samples = sum(batch.size for batch in objective.batches())
    counted = Objective(objective.model, objective.loss, objective.data, objective.parameters, Cost())
    found = measure(counted, _generator(seed, counted))
    cost = counted.cost.units(samples)
    change, rounding = None, found.rounding
    if move is not None:
        moved = measure(objective.at(move(objective.parameters)), _generator(seed, counted))
        change = abs(moved.value - found.value) / max(abs(found.value), torch.finfo(objective.dtype).tiny)
        rounding = max(found.rounding, moved.rounding)
    return Measurement(
        measure.name,
        found.value,
        found.standard_error,
        cost,
        change,
        found.details,
        (*found.notes, *counted.notes),
        found.random_error,
        rounding,
    )


def _generator(seed: int, objective: Objective) -> torch.Generator:
    return torch.Generator(objective.device).manual_seed(seed)
