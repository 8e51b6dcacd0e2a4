"""Many measures of one model in one table: what was found, how sure, at what cost, and whether a symmetry fools it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from numeric.errors import NumericError
from numeric.sharpness.border import check_border
from numeric.sharpness.measure import Measurement, evaluate
from numeric.sharpness.objective import ModelLoss, Objective
from numeric.sharpness.orbit import orbit_move
from numeric.sharpness.registry import Settings, choose


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


def measure_all(objective: Objective, names: Sequence[str], settings: Settings, *, seed: int) -> Iterator[Row]:
    """Carry out measures one after another, all of the registry where no name is given.

    Blocks in the settings are tried first: each measure is then taken a second time along their orbit. What cannot be
    carried out on this model (no block to measure on, a Fisher matrix too large) leaves its reason in its row.
    Raises OptionError for an unknown name, and SharpnessError before the first row for a loss of which no sharpness
    can be measured or a block that is no symmetry.
    """
    factories = choose(names)
    check_border(objective)
    if settings.blocks is not None:
        settings.blocks.check_invariance(objective)
    move = orbit_move(settings.blocks, seed)
    for name, factory in factories.items():
        start = time.perf_counter()
        found, reason = None, None
        try:
            found = evaluate(factory(settings), objective, seed=seed, move=move)
        except NumericError as error:
            reason = str(error)
        yield Row(name, found, reason, time.perf_counter() - start)


def table(
    model: nn.Module,
    loss: ModelLoss,
    data: Any,
    *,
    measures: Sequence[str] = (),
    settings: Settings | None = None,
    keep: Callable[[str], bool] | None = None,
    seed: int = 0,
) -> list[Row]:
    """The measures of these names, all where none is given, with what they cost and how far a symmetry moves them.

    loss: (output, target) -> mean over the samples, a scalar. data: one batch or an iterable of batches. keep: picks
    parameters by name. Raises as `measure_all` does.
    """
    objective = Objective.of(model, loss, data, keep=keep)
    return list(measure_all(objective, measures, settings or Settings(), seed=seed))
