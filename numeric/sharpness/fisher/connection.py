"""The Levi-Civita connection of the Fisher metric, in the outputs: what makes a Hessian covariant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from numeric.sharpness.batch import Batch
from numeric.sharpness.fisher.likelihoods import Family
from numeric.sharpness.fisher.linearized import Linearized
from numeric.sharpness.fisher.predictive import Predictive, fisher_product
from numeric.sharpness.objective import Objective


class Connection(Protocol):
    """The velocity c = J F⁺∇L of the outputs under natural gradient flow, which the connection asks for.

    fills_outputs: whether the functions fill the whole space of outputs, so that no residual is normal to them.
    """

    @property
    def fills_outputs(self) -> bool: ...

    def velocity(self, model: Linearized, natural: Tensor, residual: Tensor) -> Tensor:
        """c (n, p, c) of a batch at its natural parameters, with residuals in units of the scale, all (n, p, c)."""
        ...


@dataclass(frozen=True)
class Projected:
    """c = J F⁺∇L by its definition; natural_gradient: F⁺∇L, (D,)."""

    natural_gradient: Tensor
    fills_outputs: bool = False

    def velocity(self, model: Linearized, natural: Tensor, residual: Tensor) -> Tensor:
        return model.push(self.natural_gradient.unsqueeze(0))[0]


@dataclass(frozen=True)
class Filling:
    """Where the rank of F is that of the outputs, c = S⁻¹ r sample by sample: no small direction of F loses digits."""

    family: Family
    fills_outputs: bool = True

    def velocity(self, model: Linearized, natural: Tensor, residual: Tensor) -> Tensor:
        return self.family.raised(natural, residual)


def potential_slope(
    objective: Objective,
    predictive: Predictive,
    batch: Batch,
    outputs: Tensor,
    output: Any,
    velocity: Callable[[Tensor], Tensor] | None,
) -> Tensor:
    """∇p, (n, p, c), with its graph, at natural parameters that require a gradient; p = ℓ_B − q, see `HessianForm`.

    velocity: residuals -> c; None for ℓ_B itself. output: the model's own output, for its form.
    """
    with torch.enable_grad():
        loss = predictive.loss(objective, outputs, output, batch.target)
        (slope,) = torch.autograd.grad(loss, outputs, create_graph=True)
        if velocity is None:
            return slope
        c = velocity(slope.detach() * (batch.size / predictive.scale))
        family = predictive.family
        flat = fisher_product(family.root(outputs.detach()), c)
        # The mean of the potentials of the family's two flat connections: the Levi-Civita connection lies between.
        connected = 0.5 * predictive.scale / batch.size * ((c * family.mean(outputs)).sum() + (flat * outputs).sum())
        return slope - torch.autograd.grad(connected, outputs, create_graph=True)[0]
