"""F⁺H where the functions fill the outputs' space: sample by sample, whatever the parameters are."""

from __future__ import annotations

import torch
from torch import Tensor

from numeric.sharpness.batch import Batch
from numeric.sharpness.cost import FORWARD
from numeric.sharpness.fisher.connection import potential_slope
from numeric.sharpness.fisher.predictive import Predictive
from numeric.sharpness.objective import Objective


def output_eigenvalues(objective: Objective, predictive: Predictive) -> Tensor:
    """The eigenvalues of F⁺H, all rows of F's factor, ascending, for the covariant H and an F of full row rank.

    The loss is then a function on the space of outputs itself, and F⁺H is ∇²p against S, one small block for every
    event of every sample: no product with the model's derivatives, and no digit lost however confident the model is.
    Needs a loss that is its likelihood's. Costs a forward pass.
    """
    blocks = [_whitened(objective, predictive, batch) for batch in objective.batches()]
    return torch.cat([torch.linalg.eigvalsh(block).flatten() for block in blocks]).sort().values


def _whitened(objective: Objective, predictive: Predictive, batch: Batch) -> Tensor:
    """(n, p, r, r): ∇²p of each event in the metric S of its outputs."""
    with torch.no_grad():
        output = objective.output(objective.parameters, batch)
    objective.cost.add(FORWARD, batch.size)
    outputs = predictive.natural(output).detach().requires_grad_()
    natural, family = outputs.detach(), predictive.family
    slope = potential_slope(objective, predictive, batch, outputs, output, lambda r: family.raised(natural, r))
    # Events do not mix, so that one pass gives a row of every event's block.
    rows = [torch.autograd.grad(slope[..., c].sum(), outputs, retain_graph=True)[0] for c in range(natural.shape[-1])]
    whitened = family.whitened(natural, torch.stack(rows, -2) * (batch.size / predictive.scale))
    return (whitened + whitened.mT) / 2
