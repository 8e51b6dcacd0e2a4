"""Many measures of one model in one table: what was found, how sure, at what cost, and whether a symmetry fools it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from numeric.errors import NumericError
from numeric.sharpness.measure import Measure, Measurement, Move, evaluate
from numeric.sharpness.objective import Objective


@dataclass(frozen=True)
class Row:
    """One measure of the table: its measurement, or the reason why there is none, and the seconds that it took."""

    name: str
    measurement: Measurement | None
    reason: str | None
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """The row as JSON values; what was not measured is None."""
        found = self.measurement
        return {
            "measure": self.name,
            "value": None if found is None else found.value,
            "standard_error": None if found is None else found.standard_error,
            "cost": None if found is None else found.cost,
            "seconds": self.seconds,
            "invariant": None if found is None else found.invariant,
            "change_along_orbit": None if found is None else found.change_along_orbit,
            "details": {} if found is None else dict(found.details),
            "notes": [] if found is None else list(found.notes),
            "reason": self.reason,
        }


def measure_all(
    measures: Mapping[str, Measure], objective: Objective, *, seed: int, move: Move | None = None
) -> Iterator[Row]:
    """Carry the measures out one after another, by the names they go under in the table.

    move: a function-preserving map of the parameters, along which each is measured again. One that cannot be carried
    out on this model (no block to measure on, a Fisher matrix too large) leaves its reason in its row; errors that
    have nothing to do with a measure (the loss, the data) are found by `check_border` before the first.
    """
    for name, measure in measures.items():
        start = time.perf_counter()
        try:
            found, reason = evaluate(measure, objective, seed=seed, move=move), None
        except NumericError as error:
            found, reason = None, str(error)
        yield Row(name, found, reason, time.perf_counter() - start)
