"""The gradients of single samples, some at a time."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from numeric.sharpness.batch import Batch
from numeric.sharpness.cost import GRADIENT
from numeric.sharpness.mapped import mapped_or_single
from numeric.sharpness.objective import Objective
from numeric.sharpness.parameters import Point, flatten

# Entries of one block of gradients: 64 MiB in float32, whatever the batch.
ENTRIES = 2**24


def sample_gradients(objective: Objective, dimension: int) -> Iterator[Tensor]:
    """∇ℓ_i of every sample i, in blocks (c, D) that stay below `ENTRIES` entries; costs one unit in all.

    Models that torch cannot map over samples go one sample at a time, see `mapped_or_single`.
    """
    rows = max(1, ENTRIES // dimension)
    for batch in objective.batches():
        for start in range(0, batch.size, rows):
            part = batch.select(slice(start, start + rows))
            objective.cost.add(GRADIENT, part.size)
            yield mapped_or_single(objective, partial(_mapped, objective, part), partial(_one_by_one, objective, part))


def _mapped(objective: Objective, batch: Batch) -> Tensor:
    leaves, form = pytree.tree_flatten((batch.inputs, batch.target))

    def loss(point: Point, sample: list[Any]) -> Tensor:
        inputs, target = pytree.tree_unflatten([leaf.unsqueeze(0) for leaf in sample], form)
        return objective.loss(objective.output(point, Batch(inputs, target, 1)), target)

    found = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(objective.parameters, leaves)
    return torch.cat([found[name].flatten(1) for name in objective.parameters], dim=1)


def _one_by_one(objective: Objective, batch: Batch) -> Tensor:
    counted = objective.cost.sample_units
    rows = [
        flatten(objective.gradient(objective.parameters, batch.select(slice(index, index + 1)))[1])
        for index in range(batch.size)
    ]
    objective.cost.sample_units = counted
    return torch.stack(rows)
