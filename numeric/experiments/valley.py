"""The floor of a loss's sharpest valley, by dense derivatives: for graphs of a few parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from numeric.comparison.mechanisms.local_quadratic import TrainingLoss
from numeric.errors import CheckError
from numeric.flat_points import flattened
from numeric.training.step import Step

Scalar = Callable[[Tensor], Tensor]

# Largest number of moves along the floor, and the relative length of one.
MOVES, LONGEST = 60, 0.5
RELAXING = 10  # steps that lead from anywhere onto the floor
CLOSE = 1e-3  # relative distance of the sharpness from the one wanted


@dataclass(frozen=True)
class Valley:
    """L(θ) of flat parameters (D,)."""

    loss: Scalar

    def measure(self, theta: Tensor) -> dict[str, Tensor]:
        """S, α, β on the floor below θ (D,), how far along u θ lies from it, the next eigenvalue and the floor itself.

        The floor is one Newton step along u away; see `numeric.stability.edge_point` for what they are.
        """
        gradient = torch.func.grad(self.loss)
        hessian = torch.func.jacrev(gradient)
        curvatures, vectors = torch.linalg.eigh(hessian(theta))
        position = (gradient(theta) @ vectors[:, -1]) / curvatures[-1]
        floor = theta - position * vectors[:, -1]
        curvatures, vectors = torch.linalg.eigh(hessian(floor))
        u = vectors[:, -1].detach()
        bend = torch.func.grad(lambda point: u @ hessian(point) @ u)(floor)
        bend = bend - (bend @ u) * u
        return {
            "sharpness": curvatures[-1],
            "second": curvatures[-2],
            "alpha": -gradient(floor) @ bend,
            "beta": bend @ bend,
            "position": position,
            "floor": floor,
        }

    def start(self, theta: Tensor, sharpness: float) -> Tensor:
        """A point on the floor where S has this value, found along the gradient in long steps.

        Raises CheckError where training does not sharpen on the way, or S does not get there.
        """
        theta = self.relaxed(theta)
        for _ in range(MOVES):
            found = self.measure(theta)
            theta, missing, alpha = found["floor"], sharpness - found["sharpness"], found["alpha"]
            if abs(float(missing)) <= CLOSE * sharpness:
                return theta
            if not float(alpha) > 0:
                raise CheckError(
                    f"not at the edge: training does not sharpen, α = {float(alpha):.3g} where S = "
                    f"{float(found['sharpness']):.3g}"
                )
            move = -missing / alpha * torch.func.grad(self.loss)(theta)
            theta = theta + move * min(1.0, LONGEST * (1 + float(theta.norm())) / float(move.norm()))
        raise CheckError(f"not at the edge: S does not get from {float(found['sharpness']):.3g} to {sharpness:.3g}")

    def relaxed(self, theta: Tensor) -> Tensor:
        """θ (D,) after gradient descent whose every step is half of what the curvature there allows."""
        gradient = torch.func.grad(self.loss)
        for _ in range(RELAXING):
            curvatures = torch.linalg.eigvalsh(torch.func.jacrev(gradient)(theta))
            theta = theta - gradient(theta) / curvatures.abs().max()
        return theta


@dataclass(frozen=True)
class EdgeObservable:
    """For `numeric.train`: sharpness, second, alpha, beta and position of every replica, (R,) each."""

    valley: Valley

    def __call__(self, step: Step) -> dict[str, Tensor]:
        replicas = len(step.loss)
        flat = torch.cat([leaf.reshape(replicas, -1) for leaf in step.point.values()], dim=1)
        found = torch.func.vmap(self.valley.measure)(flat)
        return {name: value for name, value in found.items() if name != "floor"}


def valley_of(loss: TrainingLoss) -> tuple[Valley, Tensor]:
    """The valley of a training loss, and its start as flat parameters (D,)."""
    return Valley(lambda theta: loss.samples(theta, loss.data["y"]).mean()), flattened(loss.start)
