"""The constrained trajectory θ† around which a run is predicted, and the steps on two models of the loss there.

The equations stand in `numeric.stability.predicted`. All points are flat (D,), weight decay is part of the loss.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from numeric.sharpness.batch import Batch
from numeric.sharpness.hessian.operator import HessianOperator
from numeric.sharpness.objective import Objective
from numeric.sharpness.parameters import Point, flatten, unflatten
from numeric.sharpness.second_order import gradient_graph, second_derivative
from numeric.stability.descent import Descent
from numeric.stability.edge_point import TOLERANCE, sharpness_gradient, top_pair, without_oscillation
from numeric.stability.third_order import ThirdOrder, third_derivative

ROUNDING = 1e-9
# A prediction that lies so many times as far from θ† as θ† from zero has gone, and is not followed on.
FAR = 1e3


@dataclass(frozen=True)
class Frame:
    """At a point θ† (D,): S, the next Ritz value, u beside its vector (D, 2), ∇S⊥ and ∇L."""

    point: Tensor
    sharpness: float
    second: float
    vectors: Tensor
    bend: Tensor
    gradient: Tensor

    @property
    def u(self) -> Tensor:
        """(D,)."""
        return self.vectors[:, 0]

    @property
    def alpha(self) -> float:
        """−∇L·∇S⊥."""
        return -float(self.gradient @ self.bend)

    @property
    def beta(self) -> float:
        """‖∇S⊥‖²."""
        return float(self.bend @ self.bend)

    def across(self, vector: Tensor) -> Tensor:
        """The part of a vector that is orthogonal to u."""
        return vector - (vector @ self.u) * self.u

    def y(self, displacement: Tensor, edge: float) -> float:
        """How far S lies above the edge at θ† + displacement, to first order."""
        return self.sharpness - edge + float(displacement @ self.bend)


@dataclass(frozen=True)
class Surroundings:
    """The loss around θ†, weight decay in it, and how a step of the run and of θ† is taken."""

    objective: Objective
    how: ThirdOrder
    descent: Descent

    def beginning(self, theta: Point, seed: int) -> Frame:
        """θ† below a point: what oscillates near the edge taken out first, in whichever direction."""
        descent = self.descent
        with self.how.active():
            still = flatten(without_oscillation(self.objective.at(theta), descent.edge, descent.weight_decay))
        frame = self._settled(self._frame(still, None, seed))
        return self._frame(frame.point, frame.vectors, seed)

    def _frame(self, point: Tensor, start: Tensor | None, seed: int) -> Frame:
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
        return Frame(point, sharpness + decay, below, vectors, flat, flatten(gradient) + decay * point)

    def _settled(self, frame: Frame) -> Frame:
        """After a Newton step along u to u·∇L = 0, and one along ∇S⊥ to the edge where that holds it."""
        edge = self.descent.edge
        point = frame.point - (frame.gradient @ frame.u) / frame.sharpness * frame.u
        if frame.beta > 0 and (frame.sharpness > edge or self._held(frame)):
            point = point - (frame.sharpness - edge) / frame.beta * frame.bend
            return replace(frame, point=point, sharpness=edge)
        return replace(frame, point=point)

    def _held(self, frame: Frame) -> bool:
        """Whether the flow of the next step would leave S ≤ edge."""
        return frame.alpha > 0 and frame.sharpness + self._time * frame.alpha > self.descent.edge

    @property
    def _time(self) -> float:
        """How much of gradient flow a step is."""
        return self.descent.lr / (1 - self.descent.momentum)

    def following(self, frame: Frame, seed: int) -> Frame:
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
        self, frame: Frame, batch: Batch, guesses: dict[str, tuple[Tensor, Tensor]]
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

    def _reduced(self, frame: Frame, batch: Batch, displacement: Tensor) -> Tensor:
        here, edge, decay = self._at(frame.point), self.descent.edge, self.descent.weight_decay
        x, across = float(displacement @ frame.u), frame.across(displacement)
        with self.how.active():
            bent = HessianOperator(here, self.how.second).product(across[None])[0] + decay * across
            slope = flatten(here.gradient(here.parameters, batch)[1]) + decay * frame.point
        force = frame.across(bent) + x**2 / 2 * frame.bend
        return slope + force + (edge + frame.y(displacement, edge)) * x * frame.u

    def _cubic(self, frame: Frame, batch: Batch, displacement: Tensor) -> Tensor:
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
