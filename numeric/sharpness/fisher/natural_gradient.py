"""F⁺∇L with the digits that its use in the connection asks for."""

from __future__ import annotations

import torch
from torch import Tensor

from numeric.sharpness.cost import HESSIAN_PRODUCT
from numeric.sharpness.fisher.fisher_range import FisherRange
from numeric.sharpness.fisher.linearized import Linearized
from numeric.sharpness.fisher.predictive import Predictive, fisher_product
from numeric.sharpness.objective import Objective
from numeric.sharpness.second_order import second_order


def natural_gradient(objective: Objective, predictive: Predictive, exact: FisherRange, slope: Tensor) -> Tensor:
    """x = F⁺∇L (D,), the least-squares solution of A x = ρ for F = AᵀA and ∇L = Aᵀρ, refined once.

    Solved from AᵀA alone, an error of ∇L is divided twice by small singular values; the velocities J x carry it into
    the connection, where it is divided twice more. One step of refinement with F x from the model itself gains half a
    digit to one of the sharpness (corrected semi-normal equations; a second step gains none). slope: ∇L. Costs three
    units.
    """
    first = exact.lift(exact.lower(slope.unsqueeze(0)))
    left = slope - _fisher(objective, predictive, first[0])
    return (first + exact.lift(exact.lower(left.unsqueeze(0))))[0]


def _fisher(objective: Objective, predictive: Predictive, tangent: Tensor) -> Tensor:
    """F v (D,) for one v, by a push forward and a pull back of every batch."""
    samples = sum(batch.size for batch in objective.batches())
    total = torch.zeros_like(tangent)
    with second_order(objective).active():
        for batch in objective.batches():
            model = Linearized(objective, predictive, batch)
            objective.cost.add(HESSIAN_PRODUCT, batch.size)
            velocity = model.push(tangent.unsqueeze(0))[0]
            curved = fisher_product(predictive.family.root(model.natural.detach()), velocity)
            total += model.pull(predictive.scale * curved.unsqueeze(0))[0] / samples
    return total
