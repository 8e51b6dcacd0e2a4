"""The slope of every sample's loss along a few directions, for the price of one gradient more than there are."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from numeric.sharpness.batch import Batch
from numeric.sharpness.cost import GRADIENT
from numeric.sharpness.objective import Objective
from numeric.sharpness.parameters import Point, dot


def sample_slopes(objective: Objective, parameters: Point, batch: Batch, *directions: Point) -> Tensor:
    """v·∇ℓ_i(θ) for m directions v and every sample i of a batch, shape (m, n); counts one unit more than m.

    The gradient of Σ c_i ℓ_i along v is linear in the weights c; its slope in c is what is wanted.
    """
    leaves = {name: leaf.detach().requires_grad_() for name, leaf in parameters.items()}
    with torch.enable_grad():
        losses = _sample_losses(objective, objective.output(leaves, batch), batch)
        weights = torch.ones_like(losses, requires_grad=True)
        gradients = torch.autograd.grad(
            weights @ losses, list(leaves.values()), create_graph=True, allow_unused=True, materialize_grads=True
        )
        along = [dot(dict(zip(leaves, gradients, strict=True)), direction) for direction in directions]
    objective.cost.add((1 + len(directions)) * GRADIENT, batch.size)
    return torch.stack([torch.autograd.grad(slope, weights, retain_graph=True)[0] for slope in along])


def _sample_losses(objective: Objective, output: object, batch: Batch) -> Tensor:
    """The loss of each sample by itself, (n,): a mean over one sample is the sample's loss."""
    leaves, form = pytree.tree_flatten((output, batch.target))

    def single(*rows: Tensor) -> Tensor:
        prediction, target = pytree.tree_unflatten([row.unsqueeze(0) for row in rows], form)
        return objective.loss(prediction, target)

    mapped: Tensor = torch.func.vmap(single)(*leaves)
    return mapped
