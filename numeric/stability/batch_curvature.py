"""Batch sharpness at one point of a run, from a few batches as its steps draw them."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from numeric.sharpness.batch import Batch
from numeric.sharpness.gradient_noise.batch_sharpness import quotient
from numeric.sharpness.hessian.operator import HessianOperator
from numeric.sharpness.objective import Objective
from numeric.sharpness.second_order import SecondOrder


def batch_curvature(objective: Objective, how: SecondOrder, batches: Sequence[Batch]) -> dict[str, float]:
    """The three averages of `numeric.sharpness.batch_sharpness` over these batches, by name; nan where g vanishes.

    Costs three units of each batch, and two of the whole data for each batch in "full_hessian". Memory: one gradient
    at a time. Of the loss without weight decay. Unit: the loss per squared unit of the parameters.
    """
    operator = HessianOperator(objective, how)
    own, full, squares = [], [], []
    for batch in batches:
        gradient, product = operator.along_gradient(batch)
        squares.append(float(gradient @ gradient))
        own.append(float(gradient @ product))
        alone = batch.size == sum(part.size for part in objective.batches())
        full.append(own[-1] if alone else float(operator.product(gradient[None])[0] @ gradient))
    if not all(squares):
        return dict.fromkeys(("ratio_of_means", "mean_of_ratios", "full_hessian"), float("nan"))
    sizes = [batch.size for batch in batches]
    ratios = torch.tensor(own, dtype=torch.float64) / torch.tensor(squares, dtype=torch.float64)
    return {
        "ratio_of_means": quotient(own, squares, sizes)[0],
        "mean_of_ratios": float(ratios.mean()),
        "full_hessian": quotient(full, squares, sizes)[0],
    }
