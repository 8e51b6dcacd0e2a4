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

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from numeric.errors import OptionError
from numeric.sharpness.batch import Batch, make_batch
from numeric.sharpness.border import check_border
from numeric.sharpness.hessian.operator import HessianOperator
from numeric.sharpness.objective import ModelLoss, Objective
from numeric.sharpness.parameters import Point, flatten, scaled, unflatten
from numeric.sharpness.second_order import gradient_graph, second_derivative
from numeric.stability.descent import Descent
from numeric.stability.edge_point import TOLERANCE, sharpness_gradient, top_pair, without_oscillation
from numeric.stability.edge_run import EdgeRun
from numeric.stability.third_order import ThirdOrder, third_derivative, third_order
from numeric.training.progress import progress_bar
from numeric.training.stream_seed import stream_seed

MODELS = ("reduced", "cubic")
ROUNDING = 1e-9
# A prediction that lies so many times as far from θ† as θ† from zero has gone, and is not followed on.
FAR = 1e3


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
    place = _Surroundings(objective, third_order(objective), descent)
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


@dataclass(frozen=True)
class _Frame:
    """At a point θ† (D,): S, the next Ritz value, u beside its vector (D, 2), ∇S⊥ and ∇L."""

    point: Tensor
    sharpness: float
    second: float
    vectors: Tensor
    bend: Tensor
    gradient: Tensor

    @property
    def u(self) -> Tensor:
        return self.vectors[:, 0]

    @property
    def alpha(self) -> float:
        return -float(self.gradient @ self.bend)

    @property
    def beta(self) -> float:
        return float(self.bend @ self.bend)

    def across(self, vector: Tensor) -> Tensor:
        """The part of a vector that is orthogonal to u."""
        return vector - (vector @ self.u) * self.u

    def y(self, displacement: Tensor, edge: float) -> float:
        return self.sharpness - edge + float(displacement @ self.bend)


def _row(frame: _Frame, actual: Tensor, predicted: list[Tensor], edge: float) -> list[float]:
    """S†, the next eigenvalue, the distance; x, y and error of the run and of every prediction."""
    row = [frame.sharpness, frame.second, float((actual - frame.point).norm())]
    for point in (actual, *predicted):
        displacement = point - frame.point
        row += [float(displacement @ frame.u), frame.y(displacement, edge), float((actual - point).norm())]
    return row


@dataclass(frozen=True)
class _Surroundings:
    """The loss around θ†, weight decay in it, and how a step of the run and of θ† is taken."""

    objective: Objective
    how: ThirdOrder
    descent: Descent

    def beginning(self, theta: Point, seed: int) -> _Frame:
        """θ† below a point: what oscillates near the edge taken out first, in whichever direction."""
        descent = self.descent
        with self.how.active():
            still = flatten(without_oscillation(self.objective.at(theta), descent.edge, descent.weight_decay))
        frame = self._settled(self._frame(still, None, seed))
        return self._frame(frame.point, frame.vectors, seed)

    def _frame(self, point: Tensor, start: Tensor | None, seed: int) -> _Frame:
        here, decay = self._at(point), self.descent.weight_decay
        generator = torch.Generator(here.device).manual_seed(seed)
        with self.how.active():
            operator = HessianOperator(here, self.how.second)
            leading, second = top_pair(operator, generator, start, TOLERANCE)
            u = unflatten(leading.vector, here.parameters)
            sharpness, gradient, bend, _, _ = sharpness_gradient(here, here.parameters, u)
        flat = flatten(bend)
        flat = flat - (flat @ leading.vector) * leading.vector
        other = leading if second is None else second
        vectors = torch.stack([leading.vector, other.vector], dim=1)
        below = math.nan if second is None else second.value + decay
        return _Frame(point, sharpness + decay, below, vectors, flat, flatten(gradient) + decay * point)

    def _settled(self, frame: _Frame) -> _Frame:
        """After a Newton step along u to u·∇L = 0, and one along ∇S⊥ to the edge where that holds it."""
        edge = self.descent.edge
        point = frame.point - (frame.gradient @ frame.u) / frame.sharpness * frame.u
        if frame.beta > 0 and (frame.sharpness > edge or self._held(frame)):
            point = point - (frame.sharpness - edge) / frame.beta * frame.bend
            return replace(frame, point=point, sharpness=edge)
        return replace(frame, point=point)

    def _held(self, frame: _Frame) -> bool:
        """Whether the flow of the next step would leave S ≤ edge."""
        return frame.alpha > 0 and frame.sharpness + self._time * frame.alpha > self.descent.edge

    @property
    def _time(self) -> float:
        """How much of gradient flow a step is."""
        return self.descent.lr / (1 - self.descent.momentum)

    def following(self, frame: _Frame, seed: int) -> _Frame:
        """θ† after a step: the flow orthogonal to u and, at the edge, to ∇S⊥, then settled."""
        parts = math.ceil(self._time * self.descent.edge - ROUNDING)
        pulled = frame.alpha / frame.beta * frame.bend if self._held(frame) else torch.zeros_like(frame.bend)
        point = frame.point
        for _ in range(parts):
            point = point - self._time / parts * frame.across(self._gradient(point) + pulled)
        return self._settled(self._frame(point, frame.vectors, seed))

    def _gradient(self, point: Tensor) -> Tensor:
        here = self._at(point)
        total, samples = torch.zeros_like(point), 0
        for batch in here.batches():
            total = total + batch.size * flatten(here.gradient(here.parameters, batch)[1])
            samples += batch.size
        return total / samples + self.descent.weight_decay * point

    def predicted(
        self, frame: _Frame, batch: Batch, guesses: dict[str, tuple[Tensor, Tensor]]
    ) -> dict[str, tuple[Tensor, Tensor]]:
        """Name of a model → (point, velocity) after a step on the gradient that the model gives."""
        found = {}
        for name, (point, velocity) in guesses.items():
            displacement = point - frame.point
            if not float(displacement.norm()) < FAR * float(1 + frame.point.norm()):
                found[name] = (point, velocity)
                continue
            gradient = (self._reduced if name == "reduced" else self._cubic)(frame, batch, displacement)
            moved = self.descent.momentum * velocity - self.descent.lr * gradient
            found[name] = (point + moved, moved)
        return found

    def _reduced(self, frame: _Frame, batch: Batch, displacement: Tensor) -> Tensor:
        here, edge, decay = self._at(frame.point), self.descent.edge, self.descent.weight_decay
        x, across = float(displacement @ frame.u), frame.across(displacement)
        with self.how.active():
            bent = HessianOperator(here, self.how.second).product(across[None])[0] + decay * across
            slope = flatten(here.gradient(here.parameters, batch)[1]) + decay * frame.point
        force = frame.across(bent) + x**2 / 2 * frame.bend
        return slope + force + (edge + frame.y(displacement, edge)) * x * frame.u

    def _cubic(self, frame: _Frame, batch: Batch, displacement: Tensor) -> Tensor:
        here = self._at(frame.point)
        along = unflatten(displacement, here.parameters)
        with self.how.active():
            _, leaves, slope = gradient_graph(here, here.parameters, batch)
            first = flatten({name: leaf.detach() for name, leaf in slope.items()})
            product = second_derivative(leaves, slope, along, retain=True)
            _, third = third_derivative(leaves, slope, along)
        return first + flatten(product) + flatten(third) / 2 + self.descent.weight_decay * (frame.point + displacement)

    def _at(self, point: Tensor) -> Objective:
        return self.objective.at(unflatten(point, self.objective.parameters))
