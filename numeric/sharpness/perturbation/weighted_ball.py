"""Balls of the l2 and linf norms about a point, plain or in units of the parameters' sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, final, get_args

import torch
from torch import Tensor

from numeric.errors import OptionError
from numeric.sharpness.parameters import Point, random_tangent
from numeric.sharpness.perturbation.buffered_walk import BufferedWalk
from numeric.sharpness.walk import PlainWalk, Walk

Norm = Literal["l2", "linf"]


@final
@dataclass(frozen=True)
class WeightedBall:
    """{θ + T·xi : |xi| ≤ radius}, in the l2 or linf norm over all D entries at once, T diagonal.

    weights: T in shapes that broadcast to the parameters', of any sign; None for T = 1. Tangents xi = T^{-1}δ are in
    units of T, in which the ball is round: steepest directions and projections are those of the plain ball.
    radius: in the parameters' unit if T = 1, else dimensionless. Where T is zero the parameter does not move.
    Its walk knows the displacement by heart: another one makes another ball, not a subclass.
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
        return self._named(_Stretched.apply(len(point), *point, *self.weights.values(), *steps))

    def steepest(self, covector: Point) -> Point:
        """radius·g/|g|, or radius·sign(g)."""
        leaves = self._leaves(covector)
        if self.norm == "linf":
            return self._named(torch._foreach_mul(torch._foreach_sign(leaves), self.radius))
        return self._named(torch._foreach_mul(leaves, self.radius * _inverse(_euclidean(leaves))))

    def project(self, xi: Point) -> Point:
        """xi·min(1, radius/|xi|), or xi clamped to [−radius, radius]."""
        leaves = self._leaves(xi)
        if self.norm == "linf":
            clamped = torch._foreach_clamp_max(leaves, self.radius)
            torch._foreach_clamp_min_(clamped, -self.radius)
            return self._named(clamped)
        return self._named(torch._foreach_mul(leaves, self.radius / _euclidean(leaves).clamp_min(self.radius)))

    def walk(self) -> Walk:
        """Steps in memory of their own on a processor; on other devices, new tensors cost next to nothing."""
        plain = any(leaf.device.type != "cpu" for leaf in self.point.values())
        return PlainWalk(self) if plain else BufferedWalk(self)

    def advance(
        self, xi: Point, before: Point, covector: Point, size: float, momentum: float, room: Point | None = None
    ) -> Point:
        """The step of `Walk.step` in fewer passes over memory, in `room` if given, else in one new tensor each."""
        here, back, slope = self._leaves(xi), self._leaves(before), self._leaves(covector)
        moved = self._ascend(here, slope, size, None if room is None else self._leaves(room))
        # momentum·P(moved) + 2 (1 − momentum)·xi − (1 − momentum)·before, projected. P scales (l2) or clamps (linf);
        # the common factor is kept back for the last pass.
        factor = momentum * self._shrink_(moved)
        torch._foreach_add_(moved, here, alpha=2 * (1 - momentum) / factor)
        torch._foreach_add_(moved, back, alpha=(momentum - 1) / factor)
        torch._foreach_mul_(moved, factor * self._shrink_(moved, factor))
        return self._named(moved) if room is None else room

    def _ascend(self, here: list[Tensor], slope: list[Tensor], size: float, room: list[Tensor] | None) -> list[Tensor]:
        """xi + size·steepest(slope)."""
        length = size * self.radius
        if self.norm == "linf":
            signs = list(torch._foreach_sign(slope)) if room is None else room
            for leaf, out in zip(slope, room or [], strict=False):
                torch.sign(leaf, out=out)
            torch._foreach_mul_(signs, length)
            torch._foreach_add_(signs, here)
            return signs
        length *= _inverse(_euclidean(slope)).item()
        if room is None:
            return list(torch._foreach_add(here, slope, alpha=length))
        for leaf, covector, out in zip(here, slope, room, strict=True):
            torch.add(leaf, covector, alpha=length, out=out)
        return room

    def _shrink_(self, leaves: list[Tensor], unit: float = 1.0) -> float:
        """The factor that takes `leaves`, in units of `unit`, into the ball; for linf they are clamped instead."""
        bound = self.radius / unit
        if self.norm == "linf":
            torch._foreach_clamp_max_(leaves, bound)
            torch._foreach_clamp_min_(leaves, -bound)
            return 1.0
        return bound / max(_euclidean(leaves).item(), bound)

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


class _Stretched(torch.autograd.Function):
    """point + weights·steps, as one pass forward and one backward; torch's own addcmul takes two backward."""

    @staticmethod
    def forward(n: int, *leaves: Tensor) -> tuple[Tensor, ...]:
        return tuple(torch._foreach_addcmul(leaves[:n], leaves[2 * n :], leaves[n : 2 * n]))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        n, *leaves = inputs
        ctx.save_for_backward(*leaves[n : 2 * n])

    @staticmethod
    def backward(ctx: Any, *covectors: Tensor) -> tuple[Tensor | None, ...]:
        weights = ctx.saved_tensors
        return (None, *(2 * len(weights) * [None]), *torch._foreach_mul(covectors, weights))


def _inverse(length: Tensor) -> Tensor:
    """1/length; zero for lengths so small that this might overflow: there is no direction then."""
    return torch.where(length > torch.finfo(length.dtype).tiny * 2**20, 1 / length, 0)


def _euclidean(leaves: list[Tensor]) -> Tensor:
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(leaves)))
