"""Parts of geodesic sharpness one at a time: the norm alone is its order 1, the bent displacement alone is here."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from numeric.sharpness import Objective, Value
from numeric.sharpness.blocks import Blocks
from numeric.sharpness.parameters import Point
from numeric.sharpness.perturbation.adaptive import adaptive_weights
from numeric.sharpness.perturbation.weighted_ball import WeightedBall
from numeric.sharpness.perturbation.worst_case import WorstCase
from numeric.sharpness.quotient.geodesic_ball import BlockGeometry


@dataclass(frozen=True)
class BentBall:
    """The ball of the element-wise adaptive norm, whose tangents lead along geodesics to second order.

    Its tangents are not horizontal, and its norm is not invariant: an ablation, as in da Silva et al. 2505.05409
    appendix G, no measure to use.
    """

    straight: WeightedBall
    geometries: tuple[BlockGeometry, ...]

    @property
    def radius(self) -> float:
        return self.straight.radius

    def displace(self, xi: Point) -> Point:
        ends = self.straight.displace(xi)
        moved = dict(ends)
        for geometry in self.geometries:
            aims = geometry.block.read({name: leaf.double() for name, leaf in ends.items()})
            tangent = {name: aims[name] - leaf for name, leaf in geometry.values.items()}
            bent = geometry.end(tangent, 2)
            geometry.block.write(moved, {name: leaf.to(next(iter(ends.values())).dtype) for name, leaf in bent.items()})
        return moved

    def steepest(self, covector: Point) -> Point:
        return self.straight.steepest(covector)

    def project(self, xi: Point) -> Point:
        return self.straight.project(xi)

    def length(self, xi: Point) -> Tensor:
        return self.straight.length(xi)

    def sample(self, generator: torch.Generator) -> Point:
        return self.straight.sample(generator)

    def noise(self, generator: torch.Generator) -> Point:
        return self.straight.noise(generator)


@dataclass(frozen=True)
class SecondOrderOnly:
    """Worst case over the adaptive ball with the geodesics' second-order term, in one metric."""

    blocks: Blocks
    rho: float
    metric: str
    steps: int = 20

    @property
    def name(self) -> str:
        return f"second_order_only_{self.metric}"

    def __call__(self, objective: Objective, generator: torch.Generator) -> Value:
        point = objective.parameters
        wide = {name: leaf.double() for name, leaf in point.items()}
        geometries = tuple(
            BlockGeometry(block, block.metric(self.metric), block.read(wide), f"{place}:")
            for place, block in enumerate(self.blocks.blocks)
        )
        ball = BentBall(WeightedBall(point, self.rho, "l2", adaptive_weights(point, "element")), geometries)
        return WorstCase(self.rho, steps=self.steps).within(ball, objective, generator)
