"""Rows cᵀJ_i: the Jacobian of every sample's natural parameters under given covectors, one batch at a time."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from numeric.sharpness.batch import Batch
from numeric.sharpness.cost import FORWARD
from numeric.sharpness.fisher.predictive import Predictive
from numeric.sharpness.mapped import mapped_or_single
from numeric.sharpness.objective import Objective
from numeric.sharpness.parameters import Point


def pulled_rows(objective: Objective, predictive: Predictive, batch: Batch, covectors: Tensor) -> Tensor:
    """covectors (n, r, p, c) pulled back to the parameters: (n·r, D), row (i, a) is Σ covectors[i,a]·∂f_i/∂θ.

    Costs a forward pass and r backward passes over the batch. Models that torch cannot map over samples go one sample
    at a time, see `mapped_or_single`.
    """
    objective.cost.add(FORWARD * (1 + 2 * covectors.shape[1]), batch.size)
    arguments = (objective, predictive, batch, covectors)
    return mapped_or_single(objective, partial(_mapped, *arguments), partial(_one_by_one, *arguments))


def _mapped(objective: Objective, predictive: Predictive, batch: Batch, covectors: Tensor) -> Tensor:
    leaves, form = pytree.tree_flatten(batch.inputs)
    if not all(isinstance(leaf, Tensor) for leaf in leaves):
        raise ValueError("only tensors can be mapped over")
    names = list(objective.parameters)

    def rows(sample: list[Tensor], covector: Tensor) -> Tensor:
        single = Batch(pytree.tree_unflatten([leaf.unsqueeze(0) for leaf in sample], form), None, 1)

        def natural(point: Point) -> Tensor:
            return predictive.natural(objective.output(point, single))[0]

        pull = torch.func.vjp(natural, objective.parameters)[1]
        (pulled,) = torch.func.vmap(pull)(covector)
        return torch.cat([pulled[name].flatten(1) for name in names], 1)

    found: Tensor = torch.func.vmap(rows)(leaves, covectors)
    return found.flatten(0, 1).detach()


def _one_by_one(objective: Objective, predictive: Predictive, batch: Batch, covectors: Tensor) -> Tensor:
    found = []
    for index in range(batch.size):
        leaves = {name: leaf.detach().requires_grad_() for name, leaf in objective.parameters.items()}
        with torch.enable_grad():
            output: Any = objective.output(leaves, batch.select(slice(index, index + 1)))
            natural = predictive.natural(output)[0]
        for covector in covectors[index]:
            pulled = torch.autograd.grad(
                natural, list(leaves.values()), covector, retain_graph=True, allow_unused=True, materialize_grads=True
            )
            found.append(torch.cat([leaf.reshape(-1) for leaf in pulled]))
    return torch.stack(found)
