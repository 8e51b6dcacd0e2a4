"""The Gaussian posterior (τnF + 1/σ²)⁻¹ about a model, and its divergence from a prior."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from numeric.sharpness.fisher.fisher_range import FisherRange
from numeric.sharpness.parameters import Point, add, flatten, unflatten


@dataclass(frozen=True)
class Posterior:
    """N(θ, (τ n F + 1/σ²)⁻¹), a covariance proportional to (F + λ)⁻¹ with λ = 1/(τ n σ²).

    span: the range of F. weight: τ n. variance: σ², of the isotropic prior, in squared units of the parameters.
    """

    centre: Point
    span: FisherRange
    weight: float
    variance: float

    @property
    def precisions(self) -> Tensor:
        """The posterior's precision along the eigenvectors of F, (r,); 1/σ² in all other directions."""
        return self.weight * self.span.singular.square() + 1 / self.variance

    def divergence(self, prior_mean: Point) -> float:
        """KL(posterior ‖ N(prior mean, σ²)), nats: directions outside the range of F add nothing but their distance."""
        ratios = (self.precisions * self.variance).double()
        spread = (1 / ratios - 1 + ratios.log()).sum()
        distance = (flatten(self.centre) - flatten(prior_mean)).double().square().sum() / self.variance
        return 0.5 * float(spread + distance)

    def draw(self, generator: torch.Generator) -> Point:
        """One θ from the posterior."""
        leaf = next(iter(self.centre.values()))
        dimension = self.span.vectors.shape[1]
        z = torch.randn(dimension, generator=generator, device=generator.device, dtype=leaf.dtype).to(leaf.device)
        along = self.span.vectors @ z
        free = self.variance**0.5
        xi = free * z + (along * (self.precisions.rsqrt() - free)) @ self.span.vectors
        return add(self.centre, unflatten(xi, self.centre))
