"""Every measure on every member of a population, in parallel, one file a member: what was cut off goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from population import Point, in_parallel
from torch import Tensor, nn
from torch.nn import functional

from numeric.comparison import RankCorrelation, kendall, rank_correlation
from numeric.errors import SharpnessError, StoreError
from numeric.sharpness import Measure, Measurement, Objective, evaluate
from numeric.sharpness.measure import Move
from numeric.training.store import read_json, write_json

Batches = list[tuple[Tensor, Tensor]]
Measures = Callable[[nn.Module], Mapping[str, Measure]]
Table = dict[str, "np.ndarray[Any, np.dtype[np.float64]]"]


@dataclass(frozen=True)
class Member:
    """measures: model → measures by label; move: model → a symmetry of it, whose effect is measured too, or None."""

    model: nn.Module
    batches: Batches
    measures: Measures
    move: Callable[[nn.Module], Move] | None
    seed: int
    path: Path
    setting: str


def measure_population(
    models: Sequence[nn.Module],
    batches: Batches,
    measures: Measures,
    folder: Path,
    *,
    setting: str,
    move: Callable[[nn.Module], Move] | None = None,
    moved: int = 0,
    seed: int = 0,
    workers: int = 0,
) -> list[dict[str, Any]]:
    """label → record (value, standard error, cost, change along an orbit …) of each model, in their order.

    setting: what the values depend on besides, to recognize files of another run. moved: for how many models the
    change along an orbit is measured, which costs as much again. A measure that cannot be taken has value None.
    Raises StoreError when the folder holds measurements of another setting.
    """
    tasks = [
        Member(model, batches, measures, move if k < moved else None, seed, folder / f"member_{k:03d}.json", setting)
        for k, model in enumerate(models)
    ]
    return list(in_parallel(_measure, tasks, workers))


def table(records: Sequence[Mapping[str, Any]]) -> Table:
    """label → values (M,), NaN where a measure could not be taken."""
    return {
        label: np.array([np.nan if record[label]["value"] is None else record[label]["value"] for record in records])
        for label in records[0]
    }


def correlations(
    values: Table, target: Sequence[float], given: Sequence[float] | None = None
) -> dict[str, RankCorrelation]:
    """label → τ with the target (M,), over the models that have a value; at fixed `given` (M,), if there is one."""
    found = {}
    for label, column in values.items():
        present = np.isfinite(column)
        if present.sum() >= 4:
            fixed = None if given is None else np.asarray(given)[present]
            found[label] = rank_correlation(column[present], np.asarray(target)[present], given=fixed)
    return found


def correlation_matrix(values: Table) -> list[list[float]]:
    """τ of every pair of measures, over the models that have both, (K, K)."""

    def tau(left: str, right: str) -> float:
        present = np.isfinite(values[left]) & np.isfinite(values[right])
        return kendall(values[left][present], values[right][present])

    return [[tau(left, right) for right in values] for left in values]


def orbit_changes(records: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """label → largest relative change along an orbit, of the models for which it was measured."""
    changes: dict[str, float] = {}
    for record in records:
        for label, entry in record.items():
            if entry.get("change_along_orbit") is not None:
                changes[label] = max(changes.get(label, 0.0), entry["change_along_orbit"])
    return changes


def point_of(model: nn.Module) -> Point:
    """The parameters by name, detached."""
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


def _measure(member: Member) -> dict[str, Any]:
    model = member.model.eval()
    found = _saved(member)
    measures = member.measures(model)
    missing = {label: measure for label, measure in measures.items() if label not in found}
    if missing:
        objective = Objective.of(model, functional.cross_entropy, member.batches)
        move = member.move(model) if member.move else None
        for label, measure in missing.items():
            try:
                found[label] = _record(evaluate(measure, objective, seed=member.seed, move=move))
            except SharpnessError as error:
                found[label] = {"value": None, "notes": [str(error)]}
        write_json(member.path, {"setting": member.setting, "measures": found})
    return {label: found[label] for label in measures}


def _saved(member: Member) -> dict[str, Any]:
    """What has been measured already: a measure that is added later is measured alone."""
    if not member.path.exists():
        return {}
    saved = read_json(member.path)
    if saved["setting"] != member.setting:
        raise StoreError(f"{member.path} was measured in another setting: choose another folder, or remove it")
    found: dict[str, Any] = saved["measures"]
    return found


def _record(measured: Measurement) -> dict[str, Any]:
    numbers = {key: value for key, value in measured.details.items() if isinstance(value, int | float | str | None)}
    record = {
        "value": measured.value,
        "standard_error": measured.standard_error,
        "cost": measured.cost,
        "change_along_orbit": measured.change_along_orbit,
    }
    return {**_finite(record), "details": _finite(numbers), "notes": list(measured.notes)}


def _finite(record: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has no infinity: such a value counts as none."""
    return {key: None if isinstance(v, float) and not np.isfinite(v) else v for key, v in record.items()}
