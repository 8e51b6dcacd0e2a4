"""Worst-case sharpness of many diagonal networks at once, in the coordinates in which their balls are round.

For u ⊙ v both metrics have the horizontal tangents du/u = dv/v = b. With these the ends of geodesics are known, and so
are balls: |ξ|² = 2 Σ b² in the invariant metric, 2 Σ w² b² in the mixed one. numeric.sharpness gives the same values,
one model at a time (tests/test_sharpness_studies.py compares them).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

STEPS, DIRECTIONS = 60, 2
SOLVES = 12  # as many as the floor takes: each step finds more entries at it, few are left after these


@dataclass(frozen=True)
class Diagonal:
    """x (S, n, d), y (S, n) of S studies, and u, v (S, M, d) of M networks in each."""

    x: Tensor
    y: Tensor
    u: Tensor
    v: Tensor

    @property
    def w(self) -> Tensor:
        return self.u * self.v

    def at(self, u: Tensor, v: Tensor) -> Diagonal:
        return replace(self, u=u, v=v)

    def loss(self, w: Tensor) -> Tensor:
        """(1/n)|Xw − y|², (S, M)."""
        return self._residual(w).square().mean(-1)

    def slope(self, w: Tensor) -> Tensor:
        """The loss's derivative by w, (S, M, d)."""
        return 2 / self.y.shape[-1] * (self._residual(w) @ self.x)

    def _residual(self, w: Tensor) -> Tensor:
        return w @ self.x.mT - self.y.unsqueeze(1)


@dataclass(frozen=True)
class Ball:
    """end: (w, b) -> w at the end of the geodesic, elementwise; b has `copies` times d entries. weight: (w) -> s with
    |ξ| = |s b|. floor: smallest b that has an end."""

    end: Callable[[Tensor, Tensor], Tensor]
    weight: Callable[[Tensor], Tensor]
    copies: int = 1
    floor: float = -torch.inf


def _adaptive(w: Tensor, b: Tensor) -> Tensor:
    in_u, in_v = b.chunk(2, dim=-1)
    return w * (1 + in_u) * (1 + in_v)


def _one(w: Tensor) -> Tensor:
    return torch.ones_like(w)


def _sqrt2(w: Tensor) -> Tensor:
    return torch.full_like(w, 2**0.5)


def _mixed(w: Tensor) -> Tensor:
    return 2**0.5 * w.abs()


MEASURES: dict[str, Ball] = {
    "adaptive": Ball(_adaptive, _one, copies=2),
    "geodesic invariant": Ball(lambda w, b: w * (2 * b).exp(), _sqrt2),
    "geodesic invariant, order 2": Ball(lambda w, b: w * (1 + b + b**2 / 2) ** 2, _sqrt2),
    # √(1 + 2b) ends where w gets to zero: there the quotient ends too.
    "geodesic mixed": Ball(lambda w, b: w * (1 + 2 * b), _mixed, floor=-0.5),
    "geodesic mixed, through zero": Ball(lambda w, b: w * (1 + 2 * b), _mixed),
    "geodesic mixed, order 2": Ball(lambda w, b: w * (1 + b - b**2 / 2) ** 2, _mixed),
}


def sharpness(networks: Diagonal, ball: Ball, radius: float) -> Tensor:
    """max over |ξ| ≤ radius of L(end) − L(start), (S, M), the best of a few ascents.

    Every step goes to the b at which the loss's linear part is largest: for a convex function of b this rises at every
    step (the power method is the case of a quadratic); the best value on the way counts. The ascents begin at the
    gradient and at the leading curvature directions, up and down, between which the maximum changes with the radius.
    """
    w = networks.w
    weight = torch.cat([ball.weight(w)] * ball.copies, dim=-1)
    base, best = networks.loss(w), torch.zeros(w.shape[:2], dtype=w.dtype)
    for covector in _starts(networks, ball, weight):
        b = _largest(covector, weight, radius, ball.floor)
        for _ in range(STEPS):
            value, covector = _pull(networks, ball, w, b)
            best = torch.maximum(best, value - base)
            b = _largest(covector, weight, radius, ball.floor)
        best = torch.maximum(best, networks.loss(ball.end(w, b)) - base)
    return best


def _starts(networks: Diagonal, ball: Ball, weight: Tensor) -> Iterator[Tensor]:
    """Covectors (S, M, copies·d): the gradient, then ± those along which the Gauss–Newton matrix is largest."""
    w, still = networks.w, torch.zeros_like(weight)
    yield _pull(networks, ball, w, still)[1]
    # The Gauss–Newton matrix is J Jᵀ with J = diag(∂w/∂b) Xᵀ, in units of the weight: its leading left vectors.
    speed = _pull_back(ball, w, still, torch.ones_like(w)) / weight
    jacobian = torch.cat([networks.x.unsqueeze(1)] * ball.copies, dim=-1) * speed.unsqueeze(-2)
    _, vectors = torch.linalg.eigh(jacobian @ jacobian.mT)
    for k in range(1, DIRECTIONS + 1):
        lead = (vectors[..., -k].unsqueeze(-2) @ jacobian).squeeze(-2) * weight
        yield lead
        yield -lead


def _pull_back(ball: Ball, w: Tensor, b: Tensor, covector: Tensor) -> Tensor:
    """The covector by w at the end (S, M, d), as one by b."""
    b = b.detach().requires_grad_()
    with torch.enable_grad():
        end = ball.end(w, b)
    return torch.autograd.grad(end, b, covector)[0]


def _pull(networks: Diagonal, ball: Ball, w: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """The loss at the end (S, M), and its derivative by b."""
    end = ball.end(w, b)
    return networks.loss(end), _pull_back(ball, w, b, networks.slope(end))


def _largest(covector: Tensor, weight: Tensor, radius: float, floor: float) -> Tensor:
    """argmax of <covector, b> over |weight·b| ≤ radius and b ≥ floor."""
    dual = covector / weight
    length = dual.norm(dim=-1, keepdim=True).clamp_min(torch.finfo(dual.dtype).tiny)
    free = radius * dual / length / weight
    if floor == -torch.inf:
        return free
    # With the floor the maximum is max(floor, t·covector/weight²). The larger t, the more entries stand at the floor,
    # so solving for t with the entries found so far rises to the answer.
    direction, t = free / radius, torch.full_like(length, radius)
    for _ in range(SOLVES):
        fixed = t * direction <= floor
        spent = (floor * weight * fixed).square().sum(-1, keepdim=True)
        unit = (direction * weight * ~fixed).square().sum(-1, keepdim=True)
        t = ((radius**2 - spent).clamp_min(0) / unit.clamp_min(torch.finfo(unit.dtype).tiny)).sqrt()
    return (t * direction).clamp_min(floor)
