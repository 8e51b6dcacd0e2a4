"""Train any module by (stochastic) gradient descent and measure what the edge of stability is about on the way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from numeric.errors import OptionError, SharpnessError, StoreError
from numeric.sharpness.batch import Batch, make_batch
from numeric.sharpness.border import agree, check_border
from numeric.sharpness.objective import ModelLoss, Objective
from numeric.sharpness.parameters import Point, flatten, scaled
from numeric.stability.batch_curvature import batch_curvature
from numeric.stability.descent import Descent
from numeric.stability.edge_point import EdgePoint, measure_edge
from numeric.stability.edge_run import EdgeRun, load_edge_run, table
from numeric.stability.third_order import ThirdOrder, third_order
from numeric.stability.trail import Trail
from numeric.training.progress import progress_bar
from numeric.training.stream_seed import stream_seed

MEASURED = (
    "loss", "sharpness", "residual", "second", "position", "floor_sharpness", "alpha", "beta", "parallel", "gradient",
    "noise", "drift_noise", "velocity", "drift_velocity", "curvature_along", "units",
    "ratio_of_means", "mean_of_ratios", "full_hessian",
)  # fmt: skip
"""Names of the records: those of `EdgePoint`, noise and drift_noise for batches as the run draws them, and the three
averages of batch sharpness."""

# Batches from which batch sharpness is estimated at each measurement; the average over a run is what is read.
BATCHES = 4
# Rounding of the loss of a sample, in units of the dtype's epsilon and of the largest loss.
ROUNDED = 10


@dataclass(frozen=True)
class Plan:
    """What is measured when. every: steps between measurements, odd, so that x is seen with either sign. first: step of
    the first one. chunk: samples in memory at once for derivatives of the whole loss (None: all, the cheapest).
    batches: for batch sharpness; 0: none. directions: how many critical ones are measured; from two on
    `EdgeRun.directions` holds what was found."""

    steps: int
    every: int = 21
    first: int = 0
    chunk: int | None = None
    batches: int = BATCHES
    directions: int = 1

    def __post_init__(self) -> None:
        if min(self.steps, self.every, self.directions) < 1 or self.first < 0 or self.batches < 0:
            raise OptionError(
                f"steps={self.steps}, every={self.every}, directions={self.directions}, first={self.first}, "
                f"batches={self.batches}: the first three are at least 1, the others at least 0"
            )

    @property
    def measured(self) -> Tensor:
        """The steps before which is measured (T,)."""
        return torch.arange(min(self.first, self.steps), self.steps, self.every)

    def is_measured(self, step: int) -> bool:
        """Whether the point before this step is measured."""
        return step >= self.first and (step - self.first) % self.every == 0


def run_edge(
    model: nn.Module,
    loss: ModelLoss,
    data: tuple[Any, Any],
    descent: Descent,
    plan: Plan,
    *,
    seed: int = 0,
    checkpoint: str | Path | None = None,
    progress: bool | None = None,
) -> EdgeRun:
    """Train from the model's present parameters, which it keeps; measure before the steps that the plan names.

    loss: (output, target) -> mean over the samples, a scalar. data: (inputs, target) with all samples, on the model's
    device. seed: of the batches and of the start of the first eigenvector. checkpoint: a file that is written at every
    measurement; the same call goes on from it, and with one direction a call for more steps too. A loss that stops
    being finite ends the run and is said in it.
    Raises OptionError for options out of range, SharpnessError for a loss that is no mean over samples, random, or
    without right third derivatives, StoreError for a checkpoint of another run.
    """
    whole = make_batch(data)
    descent.samples_of(whole.size)
    objective = Objective.of(model, loss, _chunks(whole, plan.chunk))
    check_border(objective)
    how = third_order(objective)
    settings = {"descent": descent.to_json(), "plan": asdict(plan), "seed": seed, "samples": whole.size}
    settings["notes"] = list(how.notes)
    path = None if checkpoint is None else Path(checkpoint)
    state = _begin(objective, settings, path)
    return _Training(objective, how, whole.to(objective.device, objective.dtype), descent, plan, seed, path).go(
        state, progress
    )


def _chunks(whole: Batch, size: int | None) -> list[tuple[Any, Any]]:
    if size is None or size >= whole.size:
        return [(whole.inputs, whole.target)]
    parts = [whole.select(slice(start, start + size)) for start in range(0, whole.size, size)]
    return [(part.inputs, part.target) for part in parts]


def _begin(objective: Objective, settings: dict[str, Any], path: Path | None) -> EdgeRun:
    """The state from a checkpoint, or that before the first step."""
    if path is None or not path.exists():
        theta = {name: leaf.clone() for name, leaf in objective.parameters.items()}
        empty = {name: torch.zeros(0, dtype=torch.float64) for name in MEASURED}
        return EdgeRun(settings, torch.zeros(0, dtype=torch.int64), empty, 0, theta, scaled(theta, 0.0), None)
    found = load_edge_run(path)
    others = _differing(found, settings)
    if others or found.records.keys() != set(MEASURED):
        raise StoreError(
            f"{path} belongs to a run with other settings ({', '.join(others) or 'records'}): delete it or choose "
            "another file"
        )
    if not _is_of(objective, found):
        raise StoreError(
            f"{path} belongs to a run with another model, loss, data or dtype: delete it or choose another file"
        )
    return replace(found, settings=settings)


def _differing(found: EdgeRun, settings: dict[str, Any]) -> list[str]:
    """Names of the settings that keep a run from going on.

    Steps may be added with one direction: with several, what the trail has collected since the last measurement is in
    no file.
    """
    earlier, asked = ({**run, **run["descent"], **run["plan"]} for run in (found.settings, settings))
    names = [name for name in asked if name not in ("descent", "plan") and earlier.get(name) != asked[name]]
    if "steps" in names and asked["directions"] == 1 and found.step <= asked["steps"]:
        names.remove("steps")
    return names


def _is_of(objective: Objective, found: EdgeRun) -> bool:
    """Whether a run has this objective's parameters, and at where it stands its loss."""
    here = objective.parameters
    shapes = {name: (leaf.shape, leaf.dtype) for name, leaf in found.parameters.items()}
    if shapes != {name: (leaf.shape, leaf.dtype) for name, leaf in here.items()}:
        return False
    if found.loss is None or not math.isfinite(found.loss):
        return True
    loss = _whole_loss(objective, {name: found.parameters[name].to(leaf) for name, leaf in here.items()})
    # A loss that is fitted is all rounding: no more is asked than the largest loss of the run, as summed, can tell.
    largest = max(found.records["loss"].abs().tolist(), default=0.0)
    rounding = ROUNDED * torch.finfo(objective.dtype).eps * largest
    same = agree(torch.tensor(loss), torch.tensor(found.loss), objective.dtype)
    return same or abs(loss - found.loss) <= rounding


def _whole_loss(objective: Objective, parameters: Point) -> float:
    """L over all samples."""
    with torch.no_grad():
        parts = [(float(objective.value(parameters, batch)), batch.size) for batch in objective.batches()]
    return sum(value * size for value, size in parts) / sum(size for _, size in parts)


@dataclass(frozen=True)
class _Training:
    objective: Objective
    how: ThirdOrder
    whole: Batch
    descent: Descent
    plan: Plan
    seed: int
    path: Path | None

    def go(self, state: EdgeRun, progress: bool | None) -> EdgeRun:
        theta, velocity = (self._here(point) for point in (state.parameters, state.velocity))
        vectors = None if state.vectors is None else state.vectors.to(self.objective.device)
        steps = state.steps.tolist()
        rows = [{name: float(state.records[name][k]) for name in MEASURED} for k in range(len(steps))]
        found = [{name: values[k] for name, values in state.directions.items()} for k in range(len(steps))]
        frame = None if state.frame is None else state.frame.to(self.objective.device)
        trail = None if frame is None else Trail(frame, self.plan.every)
        diverged = state.diverged_at
        step = state.step

        def stand() -> EdgeRun:
            at = torch.tensor(steps, dtype=torch.int64)
            records = table(rows) or dict(state.records)
            directions = {name: torch.stack([row[name] for row in found]) for name in (found[0] if found else ())}
            return EdgeRun(state.settings, at, records, step, theta, velocity, vectors, diverged, directions, frame)

        with progress_bar("training", self.plan.steps, step, progress) as show:
            while step < self.plan.steps and diverged is None:
                if self.plan.is_measured(step) and (not steps or steps[-1] < step):
                    try:
                        row, point, share = self._measure(theta, velocity, vectors, trail, step)
                    except SharpnessError:
                        diverged = step
                        break
                    vectors = point.vectors
                    if point.critical is not None:
                        frame = point.critical.frame
                        following = Trail(frame, self.plan.every)
                        oscillation = (trail or following).oscillation()
                        found.append({**point.critical.tensors(share), "oscillation": oscillation})
                        trail = following
                    rows.append(row)
                    steps.append(step)
                    self._save(stand())
                    show(step)
                if trail is not None:
                    trail.add(flatten(theta))
                batch = self.descent.batch(self.whole, self.seed, step)
                value, theta, velocity = self.descent.step(self.objective, batch, theta, velocity)
                diverged = None if math.isfinite(value) else step
                step += 1
            show(step)
        self._save(stood := stand())
        return stood

    def _measure(
        self, theta: Point, velocity: Point, vectors: Tensor | None, trail: Trail | None, step: int
    ) -> tuple[dict[str, float], EdgePoint, float]:
        here = self.objective.at(theta)
        generator = torch.Generator(here.device).manual_seed(stream_seed(self.seed, "start of the vectors", 0, step))
        decay = self.descent.weight_decay
        point = measure_edge(
            here,
            self.how,
            generator,
            self.descent.edge,
            start=vectors,
            velocity=velocity,
            decay=decay,
            directions=self.plan.directions,
            frame=None if trail is None else trail.frame,
            deviation=None if trail is None else trail.deviation(),
        )
        share = point.share_of_noise(self.descent.samples_of(point.samples), replacement=False)
        found = {name: float(getattr(point, name)) for name in MEASURED if hasattr(point, name)}
        found |= {"noise": share * point.noise, "drift_noise": share * point.drift_noise}
        found |= dict.fromkeys(("ratio_of_means", "mean_of_ratios", "full_hessian"), math.nan)
        if self.plan.batches:
            found |= batch_curvature(here, self.how.second, self._batches(step))
        return found, point, share

    def _batches(self, step: int) -> Sequence[Batch]:
        """Batches as a step would draw them, not those that steps did draw."""
        if self.descent.samples_of(self.whole.size) == self.whole.size:
            return [self.whole]
        return [
            self.descent.batch(self.whole, self.seed, step, f"batch {number} of a measurement")
            for number in range(self.plan.batches)
        ]

    def _here(self, point: Point) -> Point:
        """On the model's device and in the order of its parameters, which a file does not keep."""
        return {name: point[name].to(leaf) for name, leaf in self.objective.parameters.items()}

    def _save(self, run: EdgeRun) -> None:
        if self.path is not None:
            replace(run, loss=_whole_loss(self.objective, run.parameters)).save(self.path)
