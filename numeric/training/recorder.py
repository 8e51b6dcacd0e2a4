"""Observables at chosen steps, kept on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from numeric.errors import OptionError, SizeError
from numeric.training.step import Step

Observable = Callable[[Step], Tensor | Mapping[str, Tensor]]


class Recorder:
    """Evaluates observables at the steps that are due and keeps their values as tensors (T, R, ...).

    An observable returns a tensor (R, ...), or a dict of such tensors, kept as "name.key". Raises SizeError
    for a value whose first axis is not the replicas.
    """

    def __init__(self, observables: Mapping[str, Observable], steps: Sequence[int], replicas: int) -> None:
        self._observables = dict(observables)
        self._steps = list(steps) if observables else []
        self._replicas = replicas
        self._count = 0
        self._values: dict[str, Tensor] = {}

    def next_due(self) -> int | None:
        """The next step to record, None if there is none left."""
        return self._steps[self._count] if self._count < len(self._steps) else None

    def record(self, step: Step) -> None:
        """Evaluate every observable and copy the values."""
        for name, observable in self._observables.items():
            value = observable(step)
            if isinstance(value, Tensor):
                self._keep(name, value)
            else:
                for key, part in value.items():
                    self._keep(f"{name}.{key}", part)
        self._count += 1

    def recorded(self, before: int | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """Recorded step indices (T,) and values (T, R, ...), of steps < `before` if that is given."""
        steps = torch.tensor(self._steps[: self._count], dtype=torch.int64)
        count = self._count if before is None else int((steps < before).sum())
        return steps[:count], {name: values[:count].clone() for name, values in self._values.items()}

    def restore(self, values: Mapping[str, Tensor], count: int) -> None:
        """Go on after `count` recorded steps with these values (count, R, ...)."""
        self._count = count
        for name, value in values.items():
            self._buffer(name, value[0])[:count].copy_(value)

    def _keep(self, name: str, value: Tensor) -> None:
        if value.ndim == 0 or value.shape[0] != self._replicas:
            raise SizeError(
                f"observable {name!r} has shape {tuple(value.shape)}: "
                f"its first axis must be the {self._replicas} replicas"
            )
        self._buffer(name, value)[self._count].copy_(value)

    def _buffer(self, name: str, value: Tensor) -> Tensor:
        if name not in self._values:
            self._values[name] = torch.empty((len(self._steps), *value.shape), dtype=value.dtype)
        return self._values[name]


def steps_to_record(steps: int, record_every: int | None, record_at: Sequence[int] | None) -> list[int]:
    """Steps to record, ascending: 0, k, 2k, … for record_every=k; record_at itself; else about 100.

    Raises OptionError if both are given, or one is out of range.
    """
    if record_every is not None and record_at is not None:
        raise OptionError("record_every and record_at exclude each other: pass one of them")
    if record_at is not None:
        outside = [index for index in record_at if not 0 <= index < steps]
        if outside:
            raise OptionError(f"record_at names step {outside[0]}: steps are 0 to {steps - 1}")
        return sorted({int(index) for index in record_at})
    every = max(1, steps // 100) if record_every is None else record_every
    if every < 1:
        raise OptionError(f"record_every = {every} is out of range: at least 1")
    return list(range(0, steps, every))
