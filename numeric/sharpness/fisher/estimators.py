"""Which covectors make up the Fisher information: exact over the labels, drawn labels, or the data's own."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from numeric.sharpness.batch import Batch
from numeric.sharpness.fisher.predictive import Predictive
from numeric.sharpness.objective import Objective

# Units in the last place of the largest prediction.
ROUNDING = 16

# (objective, predictive, batch, generator) -> covectors (n, r, p, c) whose pulled-back outer products, summed over r
# and averaged over samples, are the Fisher information.
Covectors = Callable[[Objective, Predictive, Batch, torch.Generator], Tensor]


def exact(objective: Objective, predictive: Predictive, batch: Batch, generator: torch.Generator) -> Tensor:
    """The columns of √scale·R, R Rᵀ = S: r = p(c − 1) for classes, p else. E over labels without drawing any."""
    root = predictive.family.root(natural(objective, predictive, batch))
    n, events, classes, columns = root.shape
    covectors = root.new_zeros(n, events, columns, events, classes)
    index = torch.arange(events, device=root.device)
    covectors[:, index, :, index] = root.permute(1, 0, 3, 2)
    return math.sqrt(predictive.scale) * covectors.flatten(1, 2)


def sampled(draws: int) -> Covectors:
    """The scores of `draws` labels drawn from the model for every sample: unbiased, for models of many outputs."""

    def covectors(objective: Objective, predictive: Predictive, batch: Batch, generator: torch.Generator) -> Tensor:
        at = natural(objective, predictive, batch)
        scores = [predictive.family.sample_score(at, generator) for _ in range(draws)]
        return math.sqrt(predictive.scale / draws) * torch.stack(scores, 1)

    return covectors


def empirical(objective: Objective, predictive: Predictive, batch: Batch, generator: torch.Generator) -> Tensor:
    """The loss's own derivative at the data's labels, r = 1: it vanishes at interpolation, where F does not."""
    with torch.no_grad():
        output = objective.output(objective.parameters, batch)
    at = predictive.natural(output).detach().requires_grad_()
    with torch.enable_grad():
        loss = predictive.loss(objective, at, output, batch.target)
    (slope,) = torch.autograd.grad(loss, at)
    residual = batch.size * slope
    # A difference of a prediction and its label that is no larger than their rounding is none.
    rounding = ROUNDING * torch.finfo(at.dtype).eps * predictive.scale * predictive.family.mean(at.detach()).abs().max()
    return residual.where(residual.abs() > rounding, 0.0).unsqueeze(1)


def natural(objective: Objective, predictive: Predictive, batch: Batch) -> Tensor:
    """The natural parameters (n, p, c) of a batch, without a graph."""
    with torch.no_grad():
        return predictive.natural(objective.output(objective.parameters, batch))
