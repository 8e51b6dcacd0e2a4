"""The covariant Hessian of the loss, in the coordinates of any estimate of the Fisher information."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from numeric.sharpness.fisher.fisher_range import FisherRange
from numeric.sharpness.fisher.hessian_form import HessianForm
from numeric.sharpness.fisher.likelihoods import Family
from numeric.sharpness.fisher.linearized import Linearized
from numeric.sharpness.fisher.predictive import Predictive
from numeric.sharpness.fisher.root import Root
from numeric.sharpness.objective import Objective


@dataclass(frozen=True)
class Projected:
    """c = J F⁺∇L by its definition; natural_gradient: F⁺∇L, (D,)."""

    natural_gradient: Tensor
    fills_outputs: bool = False

    def velocity(self, model: Linearized, family: Family, residual: Tensor) -> Tensor:
        return model.push(self.natural_gradient.unsqueeze(0))[0]


@dataclass(frozen=True)
class Filling:
    """Where the rank of F is that of the outputs, c = S⁻¹ r sample by sample: no small direction of F loses digits."""

    fills_outputs: bool = True

    def velocity(self, model: Linearized, family: Family, residual: Tensor) -> Tensor:
        return family.raised(model.natural.detach(), residual)


def covariant_form(
    objective: Objective, predictive: Predictive, root: Root, exact: FisherRange, slope: Tensor
) -> HessianForm:
    """∇²L − Γ·∇L in the coordinates of `root`; exact: the range of the exact F. slope: ∇L, (D,)."""
    if exact.rank == exact.rows:
        return HessianForm(objective, predictive, root, Filling())
    return HessianForm(objective, predictive, root, Projected(exact.lift(exact.lower(slope.unsqueeze(0)))[0]))
