"""The covariance C of one sample's gradient, on the range of the Fisher information."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from numeric.sharpness.fisher import estimators
from numeric.sharpness.fisher.fisher_range import factor_parts
from numeric.sharpness.fisher.predictive import Predictive
from numeric.sharpness.fisher.root import Root
from numeric.sharpness.objective import Objective


def noise_form(
    objective: Objective, predictive: Predictive, root: Root, generator: torch.Generator
) -> tuple[Tensor, float]:
    """(Wᵀ C W (r, r), tr C), C = (1/n) Σ g_i g_iᵀ − ḡ ḡᵀ at the data's labels, exact.

    C lies in the range of F: g_i = J_iᵀ r_i. Costs one forward and backward pass.
    """
    samples = sum(batch.size for batch in objective.batches())
    leaf = next(iter(objective.parameters.values()))
    second = leaf.new_zeros(root.rank, root.rank)
    mean, total = 0.0 * leaf.sum(), 0.0
    for rows in factor_parts(objective, predictive, estimators.empirical, generator):
        lowered = root.lower(rows)
        second += lowered.mT @ lowered
        mean = mean + rows.sum(0) / math.sqrt(samples)
        total += float(rows.square().sum())
    lowered_mean = root.lower(mean.unsqueeze(0))
    return second - lowered_mean.mT @ lowered_mean, total - float(mean.square().sum())
