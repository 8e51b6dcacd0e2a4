"""Measure the sharpness of a user's trained model: read checkpoint, model and data, fill the table row by row."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symtheory.cli.user_file import FAILURES, load_function
from symtheory.errors import DeclarationError

if TYPE_CHECKING:
    from numeric.sharpness import Objective
    from numeric.sharpness.table import Row

LOSSES = ("cross_entropy", "squared_error", "binary_cross_entropy")


@dataclass(frozen=True)
class Asked:
    """The command's options: files and functions as the user named them.

    measures: names, all that exist when none is given; blocks: "auto", "none" or a function of the model.
    """

    checkpoint: Path | None
    model: str
    data: str
    loss: str
    blocks: str
    measures: tuple[str, ...]
    device: str
    dtype: str
    seed: int
    rho: float
    eta: float | None
    batch_size: int | None
    prior_variance: float | None


def measure(asked: Asked) -> Iterator[Row]:
    """The rows of the table, each as soon as it is measured.

    Raises ``DeclarationError`` for a function that cannot be loaded or fails, and the torch layer's errors for
    checkpoint, data, loss, binding and measures.
    """
    from numeric.sharpness.registry import Settings, choose
    from numeric.sharpness.table import measure_all
    from numeric.training.progress import progress_bar

    names = tuple(choose(asked.measures))
    objective = _objective(asked)
    settings = Settings(asked.rho, _blocks(asked, objective), asked.eta, asked.batch_size, asked.prior_variance)
    with progress_bar("measuring", len(names), 0, None) as show:
        for done, row in enumerate(measure_all(objective, names, settings, seed=asked.seed), 1):
            show(done)
            yield row


def show(rows: list[Row], console: Any) -> None:
    """The table, then notes and reasons, each once."""
    from numeric.reporting.sharpness_table import sharpness_table

    console.print(sharpness_table([row.to_json() for row in rows]))
    for row in rows:
        for note in () if row.measurement is None else row.measurement.notes:
            console.print(f"{row.name}: {note}", markup=False, soft_wrap=not sys.stdout.isatty())
        if row.reason is not None:
            console.print(f"{row.name} not measured: {row.reason}", markup=False, soft_wrap=not sys.stdout.isatty())


def _objective(asked: Asked) -> Objective:
    import torch

    from numeric.device import resolve
    from numeric.sharpness import Objective
    from numeric.sharpness.checkpoint import load_checkpoint

    model = _call(load_function(asked.model, "--model"), asked.model)
    if not isinstance(model, torch.nn.Module):
        raise DeclarationError(f"--model: {asked.model} returns a {type(model).__name__}, not a torch.nn.Module")
    if asked.checkpoint is not None:
        load_checkpoint(model, asked.checkpoint)
    dtypes = {"float32": torch.float32, "float64": torch.float64}
    if asked.dtype not in dtypes:
        raise DeclarationError(f"--dtype {asked.dtype}: choose float32 or float64")
    model = model.to(device=resolve(asked.device), dtype=dtypes[asked.dtype]).eval()
    data = _call(load_function(asked.data, "--data"), asked.data)
    return Objective.of(model, _loss(asked.loss), data)


def _loss(name: str) -> Callable[..., Any]:
    """A loss by name, or a function of the user's: the function itself, not what it returns."""
    from torch import nn

    named: Mapping[str, Callable[..., Any]] = dict(
        zip(LOSSES, (nn.CrossEntropyLoss(), nn.MSELoss(), nn.BCEWithLogitsLoss()), strict=True)
    )
    if name in named:
        return named[name]
    if ":" not in name:
        raise DeclarationError(f"--loss {name}: choose {', '.join(LOSSES)}, or write module:function")
    return load_function(name, "--loss")


def _blocks(asked: Asked, objective: Objective) -> Any:
    """The blocks that are bound to the model; None where there are none to find."""
    from numeric.sharpness.blocks import find_blocks

    if asked.blocks == "none":
        return None
    if asked.blocks == "auto":
        return find_blocks(objective.model)
    return _call(load_function(asked.blocks, "--blocks"), asked.blocks, objective.model)


def _call(function: Callable[..., Any], name: str, *arguments: Any) -> Any:
    """What the user's function returns; its failures in one line that names it."""
    try:
        return function(*arguments)
    except FAILURES as error:
        raise DeclarationError(f"{name} fails: {type(error).__name__}: {error}") from error
