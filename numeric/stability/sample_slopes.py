"""The slope of every sample's loss along one direction, for the price of two gradients."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from numeric.sharpness.batch import Batch
from numeric.sharpness.cost import GRADIENT
from numeric.sharpness.objective import Objective
from numeric.sharpness.parameters import Point, dot


def sample_slopes(objective: Objective, parameters: Point, batch: Batch, direction: Point) -> Tensor:
    """u·∇ℓ_i(θ) for every sample i of a batch, shape (n,); counts two units.

    The gradient of Σ c_i ℓ_i along u is linear in the weights c; its slope in c is what is wanted.
    """
    leaves = {name: leaf.detach().requires_grad_() for name, leaf in parameters.items()}
    with torch.enable_grad():
        losses = _sample_losses(objective, objective.output(leaves, batch), batch)
        weights = torch.ones_like(losses, requires_grad=True)
        gradients = torch.autograd.grad(
            weights @ losses, list(leaves.values()), create_graph=True, allow_unused=True, materialize_grads=True
        )
        along = dot(dict(zip(leaves, gradients, strict=True)), direction)
    objective.cost.add(2 * GRADIENT, batch.size)
    return torch.autograd.grad(along, weights)[0]


def _sample_losses(objective: Objective, output: object, batch: Batch) -> Tensor:
    """The loss of each sample by itself, (n,): a mean over one sample is the sample's loss."""
    leaves, form = pytree.tree_flatten((output, batch.target))

    def single(*rows: Tensor) -> Tensor:
        prediction, target = pytree.tree_unflatten([row.unsqueeze(0) for row in rows], form)
        return objective.loss(prediction, target)

    mapped: Tensor = torch.func.vmap(single)(*leaves)
    return mapped
