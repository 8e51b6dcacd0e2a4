"""Balls of the l2 and linf norms about a point, plain or in units of the parameters' sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from numeric.errors import OptionError
from numeric.sharpness.parameters import Point, random_tangent

Norm = Literal["l2", "linf"]


@dataclass(frozen=True)
class WeightedBall:
    """{θ + T·xi : |xi| ≤ radius}, in the l2 or linf norm over all D entries at once, T diagonal.

    weights: T ≥ 0 in shapes that broadcast to the parameters'; None for T = 1. Tangents xi = T^{-1}δ are in units of T,
    in which the ball is round: steepest directions and projections are those of the plain ball, exact and cheap.
    radius: in the parameters' unit if T = 1, else dimensionless. Where T is zero the parameter does not move.
    Raises OptionError for a radius that is not positive and finite, or another norm.
    """

    point: Point
    radius: float
    norm: Norm = "l2"
    weights: Point | None = None

    def __post_init__(self) -> None:
        if self.norm not in get_args(Norm):
            raise OptionError(f"norm={self.norm!r}: choose one of {', '.join(get_args(Norm))}")
        if not 0 < self.radius < float("inf"):
            raise OptionError(f"rho={self.radius}: a radius is positive and finite")

    def displace(self, xi: Point) -> Point:
        """θ + T·xi."""
        point, steps = list(self.point.values()), self._leaves(xi)
        if self.weights is None:
            return self._named(torch._foreach_add(point, steps))
        return self._named(torch._foreach_addcmul(point, steps, list(self.weights.values())))

    def steepest(self, covector: Point) -> Point:
        """radius·g/|g|, or radius·sign(g)."""
        leaves = self._leaves(covector)
        if self.norm == "linf":
            return self._named(torch._foreach_mul(torch._foreach_sign(leaves), self.radius))
        length = _euclidean(leaves)
        return self._named(torch._foreach_mul(leaves, self.radius / length.clamp_min(torch.finfo(length.dtype).tiny)))

    def project(self, xi: Point) -> Point:
        """xi·min(1, radius/|xi|), or xi clamped to [−radius, radius]."""
        leaves = self._leaves(xi)
        if self.norm == "linf":
            clamped = torch._foreach_clamp_max(leaves, self.radius)
            torch._foreach_clamp_min_(clamped, -self.radius)
            return self._named(clamped)
        return self._named(torch._foreach_mul(leaves, self.radius / _euclidean(leaves).clamp_min(self.radius)))

    def length(self, xi: Point) -> Tensor:
        """|xi|."""
        leaves = self._leaves(xi)
        if self.norm == "linf":
            return torch.stack(torch._foreach_norm(leaves, float("inf"))).max()
        return _euclidean(leaves)

    def sample(self, generator: torch.Generator) -> Point:
        """Uniform on the sphere of those entries that can move (l2), or in the box (linf)."""
        if self.norm == "linf":
            return self._box(generator)
        draw = random_tangent(self.point, generator)
        if self.weights is not None:
            draw = {name: torch.where(self.weights[name] == 0, 0, leaf) for name, leaf in draw.items()}
        return self.steepest(draw)

    def noise(self, generator: torch.Generator) -> Point:
        """Independent normal entries of standard deviation `radius` (l2), or uniform ones in the box (linf)."""
        if self.norm == "linf":
            return self._box(generator)
        return self._named(torch._foreach_mul(self._leaves(random_tangent(self.point, generator)), self.radius))

    def _box(self, generator: torch.Generator) -> Point:
        draws = [
            torch.rand(leaf.shape, generator=generator, device=generator.device, dtype=leaf.dtype).to(leaf.device)
            for leaf in self.point.values()
        ]
        return self._named([self.radius * (2 * draw - 1) for draw in draws])

    def _leaves(self, xi: Point) -> list[Tensor]:
        return [xi[name] for name in self.point]

    def _named(self, leaves: list[Tensor] | tuple[Tensor, ...]) -> Point:
        return dict(zip(self.point, leaves, strict=True))


def _euclidean(leaves: list[Tensor]) -> Tensor:
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(leaves)))
