"""The constrained trajectory and the predicted dynamics around it, beside the run itself, with the same batches.

The constrained trajectory θ† is gradient flow kept to S ≤ 2/η and u·∇L = 0. The displacement v of the run from it
obeys v' = (I − ηH)v⊥ + η∇S⊥(δ² − x²)/2 − ηζ⊥ across u and x' = −(1 + ηy)x − ηu·ζ along it, with x = u·v,
y = ∇S⊥·v + S† − 2/η, δ² = 2α/β where the constraint holds back and else 0, and the noise ζ of the batch gradient at θ†.
Damian, Nichani and Lee (2209.15594); with noise Liao et al. (2604.21016).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from numeric.errors import OptionError
from numeric.sharpness.batch import Batch, make_batch
from numeric.sharpness.border import check_border
from numeric.sharpness.hessian.operator import HessianOperator
from numeric.sharpness.objective import ModelLoss, Objective
from numeric.sharpness.parameters import flatten, scaled, unflatten
from numeric.stability.descent import Descent
from numeric.stability.edge_point import TOLERANCE, sharpness_gradient, top_pair
from numeric.stability.third_order import ThirdOrder, third_order
from numeric.training.stream_seed import stream_seed


@dataclass(frozen=True)
class Predicted:
    """What happened and what was predicted before each step, (T,) float64 each.

    x, predicted_x: along u, of the run and of the predicted dynamics, from the constrained trajectory. y, predicted_y:
    how far S lies above 2/η, to first order in the displacement. sharpness: S† of the constrained trajectory. distance,
    error: ‖θ − θ†‖ and ‖θ − θ† − v‖.
    """

    x: Tensor
    predicted_x: Tensor
    y: Tensor
    predicted_y: Tensor
    sharpness: Tensor
    distance: Tensor
    error: Tensor


def predicted_dynamics(
    model: nn.Module, loss: ModelLoss, data: tuple[Any, Any], descent: Descent, steps: int, *, seed: int = 0
) -> Predicted:
    """Train for so many steps from the model's present parameters, with θ† and v beside it; about 30 units a step.

    The start should lie near the valley floor at S near 2/η; then v starts as what takes the run off the floor. Batches
    are those of `run_edge` with this seed. Memory: three points, and the vectors of the Lanczos iteration. Raises
    OptionError for momentum or weight decay, which the dynamics are not derived for, SharpnessError as `run_edge`.
    """
    if descent.momentum or descent.weight_decay:
        raise OptionError("the predicted dynamics are those of plain descent: choose momentum=0 and weight_decay=0")
    objective = Objective.of(model, loss, data)
    check_border(objective)
    whole = make_batch(data).to(objective.device, objective.dtype)
    how = third_order(objective)
    theta, velocity = objective.parameters, scaled(objective.parameters, 0.0)
    frame = _Frame.at(objective, how, flatten(theta), None, seed)
    constrained = frame.on_floor(descent.edge)
    frame = _Frame.at(objective, how, constrained, frame.vectors, seed)
    displacement = flatten(theta) - constrained
    rows = []
    for step in range(steps):
        actual = flatten(theta) - constrained
        rows.append(frame.row(actual, displacement, descent.edge))
        batch = descent.batch(whole, seed, step)
        _, theta, velocity = descent.step(objective, batch, theta, velocity)
        moved, following = frame.step(objective, how, batch, displacement, descent)
        frame = _Frame.at(objective, how, following, frame.vectors, stream_seed(seed, "start of the vector", 0, step))
        corrected = frame.on_floor(descent.edge)
        # The correction belongs to θ† alone: the run does not make it.
        displacement, constrained = moved - (corrected - following), corrected
        frame = replace(frame, point=corrected)
    columns = torch.tensor(rows, dtype=torch.float64).T
    return Predicted(*columns)


@dataclass(frozen=True)
class _Frame:
    """At a point θ† (D,): S, u, ∇S⊥, ∇L, α and β."""

    point: Tensor
    sharpness: float
    vectors: Tensor
    bend: Tensor
    gradient: Tensor

    @classmethod
    def at(cls, objective: Objective, how: ThirdOrder, point: Tensor, start: Tensor | None, seed: int) -> _Frame:
        here = objective.at(unflatten(point, objective.parameters))
        generator = torch.Generator(objective.device).manual_seed(seed)
        with how.active():
            operator = HessianOperator(here, how.second)
            leading, second = top_pair(operator, generator, start, TOLERANCE)
            u = unflatten(leading.vector, here.parameters)
            sharpness, gradient, bend, _, _ = sharpness_gradient(here, here.parameters, u)
        flat = flatten(bend)
        flat = flat - (flat @ leading.vector) * leading.vector
        vectors = torch.stack([leading.vector, leading.vector if second is None else second.vector], dim=1)
        return cls(point, sharpness, vectors, flat, flatten(gradient))

    @property
    def u(self) -> Tensor:
        return self.vectors[:, 0]

    @property
    def alpha(self) -> float:
        return -float(self.gradient @ self.bend)

    @property
    def beta(self) -> float:
        return float(self.bend @ self.bend)

    def on_floor(self, edge: float) -> Tensor:
        """The point after a Newton step along u to u·∇L = 0, and one along ∇S⊥ to S = edge where that holds it."""
        floor = self.point - (self.gradient @ self.u) / self.sharpness * self.u
        if self.beta > 0 and (self.sharpness > edge or self.held(edge)):
            floor = floor - (self.sharpness - edge) / self.beta * self.bend
        return floor

    def held(self, edge: float) -> bool:
        """Whether the next step of gradient flow would leave S ≤ edge."""
        return self.alpha > 0 and self.sharpness + 2 / edge * self.alpha > edge

    def row(self, actual: Tensor, predicted: Tensor, edge: float) -> list[float]:
        above = self.sharpness - edge
        return [
            float(actual @ self.u),
            float(predicted @ self.u),
            above + float(actual @ self.bend),
            above + float(predicted @ self.bend),
            self.sharpness,
            float(actual.norm()),
            float((actual - predicted).norm()),
        ]

    def step(
        self, objective: Objective, how: ThirdOrder, batch: Batch, displacement: Tensor, descent: Descent
    ) -> tuple[Tensor, Tensor]:
        """(v', θ†') after a step, the latter before it is corrected."""
        eta, edge, u = descent.lr, descent.edge, self.u
        here = objective.at(unflatten(self.point, objective.parameters))
        x, y = float(displacement @ u), self.sharpness - edge + float(displacement @ self.bend)
        across = displacement - x * u
        with how.active():
            bent = HessianOperator(here, how.second).product(across[None])[0]
            noise = flatten(objective.gradient(here.parameters, batch)[1]) - self.gradient
        pulled = self.alpha / self.beta * self.bend if self.held(edge) else torch.zeros_like(self.bend)
        force = pulled - x**2 / 2 * self.bend - bent - noise
        moved = across + eta * (force - (force @ u) * u) - ((1 + eta * y) * x + eta * float(noise @ u)) * u
        flow = self.gradient + pulled
        return moved, self.point - eta * (flow - (flow @ u) * u)


def relative_error(found: Predicted) -> float:
    """Root mean square of ‖θ − θ† − v‖ over that of ‖θ − θ†‖ (dimensionless)."""
    return float((found.error.square().mean() / found.distance.square().mean()).sqrt())
