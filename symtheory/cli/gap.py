"""Train a user's model and confront the forecast of the sharpness gap with the run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symtheory.cli.user_file import load_function
from symtheory.cli.user_model import call, load_loss, load_model

if TYPE_CHECKING:
    from numeric.stability.answer import Answer
    from numeric.stability.edge_run import EdgeRun
    from numeric.stability.predicted import Predicted


@dataclass(frozen=True)
class Asked:
    """The command's options: model, data and loss as the user named them; the others as `numeric.stability` has them.

    batch_size: None for all samples. dynamics: steps beside the predicted dynamics after the run, 0 for none. output: a
    folder for the run and its figures, None for no files.
    """

    model: str
    data: str
    loss: str
    checkpoint: Path | None
    lr: float
    batch_size: int | None
    momentum: float
    weight_decay: float
    steps: int
    every: int
    window: float
    directions: int
    dynamics: int
    output: Path | None
    device: str
    dtype: str
    seed: int


def forecast_gap(asked: Asked) -> dict[str, Any]:
    """The answer as JSON, with the paths of what was written; the run goes on where an earlier call was cut off.

    Raises ``DeclarationError`` for a function that cannot be loaded or fails, and the torch layer's errors.
    """
    from numeric.stability import Descent, Plan, answer, forecast, predicted_dynamics, run_edge
    from numeric.stability.forecast import judged
    from numeric.stability.generated import sharpness_gap
    from numeric.stability.whole_batch import whole_batch

    descent = Descent(asked.lr, asked.batch_size, asked.momentum, asked.weight_decay)
    plan = Plan(asked.steps, asked.every, directions=asked.directions)
    judged(plan.measured, plan.steps, asked.window)  # what cannot be answered is not trained
    with _seeded(asked.seed):
        model = load_model(asked.model, asked.checkpoint, asked.device, asked.dtype)
    with _seeded(asked.seed):
        data = whole_batch(call(load_function(asked.data, "--data"), asked.data))
    place = None if asked.output is None else asked.output / "run.safetensors"
    loss = load_loss(asked.loss)
    run = run_edge(model, loss, data, descent, plan, seed=asked.seed, checkpoint=place)
    if run.diverged_at is not None:
        record: dict[str, Any] = {
            "answer": "diverged",
            "sentence": f"diverged at step {run.diverged_at}: no edge holds this step, choose a smaller one",
        }
        found = None
    else:
        found = answer(forecast(run, sharpness_gap, window=asked.window))
        record = found.to_json()
    predicted = None
    if asked.dynamics and run.diverged_at is None:
        predicted = predicted_dynamics(model, loss, data, descent, asked.dynamics, seed=asked.seed, start=run)
        record["dynamics"] = predicted.to_json()
    record["notes"] = run.settings["notes"]
    record["units_of_a_measurement"] = float(run.records["units"].mean()) if len(run.steps) else None
    if asked.output is not None:
        record["files"] = _write(asked.output, run, found, predicted, record)
    return record


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """A context in which functions of the user's draw the same random numbers at every call of the command."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def _write(
    folder: Path, run: EdgeRun, found: Answer | None, predicted: Predicted | None, record: dict[str, Any]
) -> list[str]:
    from numeric.comparison.verdict import jsonable
    from numeric.reporting.figures import write_figure
    from numeric.stability.picture import dynamics_picture, edge_picture
    from numeric.training.store import write_json

    write_json(folder / "answer.json", jsonable(record))
    figure = write_figure("edge", edge_picture(run, found, record["answer"].capitalize()), folder / "figure")
    files = [folder / "run.safetensors", folder / "answer.json", figure]
    if predicted is not None:
        files.append(write_figure("dynamics", dynamics_picture(predicted), folder / "dynamics"))
    return [str(path) for path in files]
