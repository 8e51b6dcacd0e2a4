"""The constrained trajectory and the dynamics predicted around it, beside the run itself, with the same batches.

The constrained trajectory θ† is gradient flow kept to S ≤ S_c and u·∇L = 0, S_c = 2(1 + μ)/η. The run is predicted
twice, by heavy-ball descent on two models of the loss at θ† + v:

reduced: the gradient there is that of the batch at θ†, and Hv⊥ + ∇S⊥x²/2 across u, (S_c + y)x along u, with x = u·v and
y = S† − S_c + ∇S⊥·v. This is x' = −(1 + ηy)x − ηu·ζ, v⊥' = (I − ηH)v⊥ + η∇S⊥(δ² − x²)/2 − ηζ⊥ with the noise ζ of the
batch at θ† and δ² = 2α/β. Damian, Nichani and Lee (2209.15594); with noise Liao et al. (2604.21016).

cubic: the batch's own loss to third order in v, ∇L_B + H_B v + ½∇³L_B(v, v). It knows of every direction that nears the
edge and of what they do to each other. Derived here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from numeric.errors import OptionError
from numeric.sharpness.batch import make_batch
from numeric.sharpness.border import check_border
from numeric.sharpness.objective import ModelLoss, Objective
from numeric.sharpness.parameters import flatten, scaled
from numeric.stability.descent import Descent
from numeric.stability.edge_run import EdgeRun
from numeric.stability.surroundings import Frame, Surroundings
from numeric.stability.third_order import third_order
from numeric.training.progress import progress_bar
from numeric.training.stream_seed import stream_seed

MODELS = ("reduced", "cubic")


@dataclass(frozen=True)
class Track:
    """x: along u from θ†; y: how far S lies above the edge, to first order in the displacement; error: ‖θ − θ† − v‖, of
    the run itself zero. (T,) float64 each, before every step."""

    x: Tensor
    y: Tensor
    error: Tensor


@dataclass(frozen=True)
class Predicted:
    """What happened and what was predicted before each of T steps, from the step `first` on.

    run: the run itself; models: name of `MODELS` → what it predicts. sharpness, second: S† and the next Ritz value at
    θ†; distance: ‖θ − θ†‖, (T,) float64. edge: S_c.
    """

    first: int
    edge: float
    run: Track
    models: dict[str, Track]
    sharpness: Tensor
    second: Tensor
    distance: Tensor

    def steps_within_half(self, model: str) -> int:
        """Steps before the error of a model first exceeds half of the distance from θ†."""
        off = ~(self.models[model].error <= self.distance / 2)
        return int(off.nonzero()[0]) if bool(off.any()) else len(off)

    def relative_error(self, model: str) -> float:
        """Root mean square of ‖θ − θ† − v‖ over that of ‖θ − θ†‖ (dimensionless)."""
        return float((self.models[model].error.square().mean() / self.distance.square().mean()).sqrt())

    @property
    def sentence(self) -> str:
        """For how long each prediction is good."""
        held = (f"{name} for {self.steps_within_half(name)}" for name in self.models)
        return f"predicted dynamics, of {len(self.distance)} steps within half of the distance: {', '.join(held)}"

    def to_json(self) -> dict[str, Any]:
        """How well each model does."""
        found: dict[str, Any] = {"sentence": self.sentence, "first_step": self.first, "steps": len(self.distance)}
        for name in self.models:
            found[name] = {
                "steps_within_half": self.steps_within_half(name),
                "error_over_distance": self.relative_error(name),
            }
        return found


def predicted_dynamics(
    model: nn.Module,
    loss: ModelLoss,
    data: tuple[Any, Any],
    descent: Descent,
    steps: int,
    *,
    seed: int = 0,
    start: EdgeRun | None = None,
    progress: bool | None = None,
) -> Predicted:
    """Train for so many steps, with θ† and the predictions beside it; about 25 units a step without momentum.

    The start, the model's present parameters or where the run `start` stands, should lie near the valley floor at S
    near the edge. Batches are those of `run_edge` with this seed. θ† is followed in so many parts of a step that its
    flow is stable at the edge, 2(1 + μ)/(1 − μ). Memory: a few points, and the vectors of the Lanczos iteration.
    Raises OptionError for no steps, a batch larger than the data or the run of another model, SharpnessError as
    `run_edge`.
    """
    if steps < 1:
        raise OptionError(f"steps={steps}: choose at least 1")
    objective = Objective.of(model, loss, data)
    check_border(objective)
    whole = make_batch(data).to(objective.device, objective.dtype)
    descent.samples_of(whole.size)
    theta = objective.parameters
    velocity, first = scaled(theta, 0.0), 0
    if start is not None:
        if start.parameters.keys() != theta.keys():
            raise OptionError("the run to go on from has other parameters than the model: choose one of this model")
        theta, velocity = (
            {name: p[name].to(theta[name]) for name in theta} for p in (start.parameters, start.velocity)
        )
        first = start.step
    place = Surroundings(objective, third_order(objective), descent)
    frame = place.beginning(theta, seed)
    guesses = {name: (flatten(theta), flatten(velocity)) for name in MODELS}
    rows = []
    with progress_bar("predicting", steps, 0, progress) as show:
        for step in range(steps):
            rows.append(_row(frame, flatten(theta), [point for point, _ in guesses.values()], descent.edge))
            batch = descent.batch(whole, seed, first + step)
            _, theta, velocity = descent.step(objective, batch, theta, velocity)
            guesses = place.predicted(frame, batch, guesses)
            frame = place.following(frame, stream_seed(seed, "start of the vector", 0, step))
            show(step + 1)
    columns = torch.tensor(rows, dtype=torch.float64).T
    sharpness, second, distance, *tracks = columns
    run, *models = (Track(*tracks[3 * k : 3 * k + 3]) for k in range(1 + len(MODELS)))
    return Predicted(first, descent.edge, run, dict(zip(MODELS, models, strict=True)), sharpness, second, distance)


def _row(frame: Frame, actual: Tensor, predicted: list[Tensor], edge: float) -> list[float]:
    """S†, the next eigenvalue, the distance; x, y and error of the run and of every prediction."""
    row = [frame.sharpness, frame.second, float((actual - frame.point).norm())]
    for point in (actual, *predicted):
        displacement = point - frame.point
        row += [float(displacement @ frame.u), frame.y(displacement, edge), float((actual - point).norm())]
    return row
