"""Loss and gradient noise around a point, to second order: what covariances at a minimum are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from numeric.comparison.mechanisms.reading import common_start, complete_model_of, data_of, loss_of, setting
from numeric.errors import CheckError
from numeric.flat_points import flattened, shapes_of, unflattened
from numeric.training.model import Model, Point
from numeric.training.program import Loss
from numeric.training.runs import Runs

LARGEST = 400
"""Parameters, beyond which a dense Hessian and covariances of all replicas take more than seconds."""


@dataclass(frozen=True)
class LocalQuadratic:
    """minimum: θ₀ (D,), the parameters in the order of the model, flattened; gradient: of the training loss with its
    decay term at θ₀ (D,); hessian: of the loss without it (D, D); noise: C (D, D), covariance of the batch gradient at
    θ₀ for the run's batch size and label noise. All in float64.
    """

    minimum: Tensor
    gradient: Tensor
    hessian: Tensor
    noise: Tensor


@dataclass(frozen=True)
class TrainingLoss:
    """The loss of a training run, without label noise and decay, as a function of flat parameters (D,).

    loss: as `numeric.train` takes it; data: leaves (n, ...), "y" the target, without noise; start: θ₀, leaves
    (*shape). All in float64.
    """

    model: Model
    loss: Loss
    data: Mapping[str, Tensor]
    start: Point

    def samples(self, flat: Tensor, target: Tensor) -> Tensor:
        """Loss of every sample, (n,), at parameters (D,) and targets (n, ...)."""
        point = unflattened(flat.unsqueeze(0), shapes_of(self.start))
        batch = {key: leaf.unsqueeze(0) for key, leaf in {**self.data, "y": target}.items()}
        return torch.as_tensor(self.loss(self.model.predict(point, batch), batch)[0])

    def gradient(self, flat: Tensor, target: Tensor | None = None) -> Tensor:
        """∇L at (D,)."""
        chosen = self.data["y"] if target is None else target
        return torch.func.grad(lambda theta: self.samples(theta, chosen).mean())(flat)

    def gradients(self, flats: Tensor) -> Tensor:
        """∇L at each of (N, D)."""
        return torch.func.vmap(self.gradient, chunk_size=512)(flats)

    def hessian(self) -> Tensor:
        """∇²L at the start, (D, D). Raises CheckError for more than LARGEST parameters."""
        start = flattened(self.start)
        if len(start) > LARGEST:
            raise CheckError(f"{len(start)} parameters are too many for dense covariances: choose smaller sizes")
        return torch.as_tensor(torch.func.jacrev(self.gradient)(start))


def training_loss(runs: Runs, data: Mapping[str, Any] | None) -> TrainingLoss:
    """The loss that a run was trained on, around its start. data: as the run had it, with the model's constants.

    Raises CheckError for a loss of one's own, for replicas that start at different points, for other data, and where
    the run carries no module.
    """
    model, loss, start = complete_model_of(runs, data), loss_of(runs), common_start(runs)
    return TrainingLoss(model, loss, data_of(runs, data, list(runs.config["data"])), start)


def local_quadratic(loss: TrainingLoss, runs: Runs) -> LocalQuadratic:
    """H and C at the common start of the replicas.

    C = [σ² (1/n) Σ_i G_i G_iᵀ + Cov_i(g_i)]/B for a batch of B drawn with replacement, g_i the gradient of sample i
    and G_i its derivative in the target; the whole batch has the first term alone, with B = n.
    """
    start, target = flattened(loss.start), loss.data["y"]
    hessian = loss.hessian()
    count, batch = len(target), runs.config["optimizer"].get("batch_size")
    by_target = torch.func.jacrev(lambda y: loss.gradient(start, y))(target).reshape(len(start), -1)
    noise = count * setting(runs, "label_noise") ** 2 * by_target @ by_target.T
    if batch is not None:
        each = torch.func.jacrev(lambda theta: loss.samples(theta, target))(start)
        noise = noise + torch.cov(each.T, correction=0).reshape(len(start), -1)
    gradient = loss.gradient(start) + setting(runs, "weight_decay") * start
    return LocalQuadratic(start, gradient, hessian, noise / (batch or count))
