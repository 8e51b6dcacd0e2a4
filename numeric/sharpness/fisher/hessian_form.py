"""The Hessian of the loss as a symmetric form in Fisher coordinates, plain or covariant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from numeric.errors import SharpnessError
from numeric.sharpness.batch import Batch
from numeric.sharpness.cost import FORWARD, HESSIAN_PRODUCT
from numeric.sharpness.fisher.connection import Connection, potential_slope
from numeric.sharpness.fisher.linearized import Linearized, pulled
from numeric.sharpness.fisher.predictive import Predictive
from numeric.sharpness.fisher.root import Root
from numeric.sharpness.objective import Objective
from numeric.sharpness.second_order import SecondOrder, second_order

# Products that are taken in one vectorized backward pass.
CHUNK = 32
# One product: J v, its way back, and the curvature of the outputs.
PRODUCT = HESSIAN_PRODUCT + 4 * FORWARD


@dataclass(frozen=True)
class HessianForm:
    """z -> Wᵀ H W z, whose trace is tr(F⁺H) and whose eigenvalues are those of F⁺H on the range of F.

    H = ∇²L − Γ·∇L where `connection` is given, Γ the Levi-Civita connection of the exact F; the plain ∇²L where it is
    None. The covariant one is the Hessian of L restricted to the manifold of functions, pulled back, so that it
    vanishes on the kernel of F and its form changes as a tensor under every smooth map of parameters.

    How it is computed (derived here): with c_i = J_i F⁺∇L, S = ∇²A and T = ∇³A in natural parameters, F = (s/n) Σ JᵀSJ
    gives Γ·∇L = (s/n) Σ_i [c_i·S ∇²f_i + ½ J_iᵀ T(c_i) J_i], which is the ordinary Hessian of
    q(f(θ)) = (s/n) Σ_i ½ c_i·(∇A(f_i) + S_i f_i) with c and S held fixed. So H is the Hessian of p∘f, p = ℓ − q, taken
    as Jᵀ ∇²p J + ∇p·∇²f: in its first part small directions of F keep their digits. ∇p is the part of the residuals
    normal to the manifold of functions.
    """

    objective: Objective
    predictive: Predictive
    root: Root
    connection: Connection | None = None
    kernels: SecondOrder = field(init=False)

    def __post_init__(self) -> None:
        kernels = second_order(self.objective)
        if not kernels.exact:
            raise SharpnessError(f"Fisher sharpness needs second derivatives of the model: {kernels.notes[0]}")
        object.__setattr__(self, "kernels", kernels)

    def products(self, coordinates: Tensor) -> Tensor:
        """Rows z (k, r) as rows Wᵀ H W z (k, r). Costs (10/3) k units and one for each batch's graph."""
        samples = sum(batch.size for batch in self.objective.batches())
        total = torch.zeros_like(coordinates)
        with self.kernels.active():
            for batch in self.objective.batches():
                product = self._batch_product(batch)
                chunks = [self.root.lower(product(self.root.lift(chunk))) for chunk in coordinates.split(CHUNK)]
                total += torch.cat(chunks) * (batch.size / samples)
        return total

    def matrix(self) -> Tensor:
        """Wᵀ H W, (r, r), symmetric."""
        leaf = next(iter(self.objective.parameters.values()))
        form = self.products(torch.eye(self.root.rank, dtype=leaf.dtype, device=leaf.device))
        return (form + form.mT) / 2

    @property
    def rounding(self) -> float:
        """eps (s_1/s_r)², the share of the largest curvature that rounding may add to F⁺H: cautious, dimensionless."""
        leaf = next(iter(self.objective.parameters.values()))
        return torch.finfo(leaf.dtype).eps * self.root.condition**2

    def _batch_product(self, batch: Batch) -> Callable[[Tensor], Tensor]:
        """Rows v (k, D) -> rows H_B v, on one retained graph."""
        model = Linearized(self.objective, self.predictive, batch)
        outputs = model.natural.detach().requires_grad_()
        connection = self.connection
        velocity = None if connection is None else partial(connection.velocity, model, outputs.detach())
        slope = potential_slope(self.objective, self.predictive, batch, outputs, model.output, velocity)
        flat = connection is not None and connection.fills_outputs
        second = model.contracted(torch.zeros_like(outputs) if flat else slope.detach())

        def product(directions: Tensor) -> Tensor:
            self.objective.cost.add(PRODUCT * directions.shape[0], batch.size)
            curved = pulled([slope], [outputs], [model.push(directions)])[0]
            return model.pull(curved) + second(directions)

        return product
