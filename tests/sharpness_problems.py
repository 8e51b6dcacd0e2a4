"""Models and losses of which the sharpness is known, for the tests of the perturbation measures."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from numeric.sharpness import Objective
from numeric.sharpness.parameters import Point

DATA = (torch.zeros(2, 1), torch.zeros(2))


class Bare(nn.Module):
    """A model whose output, for every sample, is its parameter vector."""

    def __init__(self, theta: Tensor) -> None:
        super().__init__()
        self.theta = nn.Parameter(theta.clone())

    def forward(self, x: Tensor) -> Tensor:
        return self.theta.expand(len(x), -1)


def mean_of(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss whose value at a vector is function(vector), batched over leading axes."""
    return lambda output, target: function(output).mean()


def objective_of(function: Callable[[Tensor], Tensor], theta: Tensor) -> Objective:
    return Objective.of(Bare(theta), mean_of(function), DATA)


def quadratic(matrix: Tensor, vector: Tensor | None = None) -> Callable[[Tensor], Tensor]:
    """v -> ½ vᵀAv + bᵀv."""
    linear = torch.zeros(len(matrix), dtype=matrix.dtype) if vector is None else vector
    return lambda v: 0.5 * torch.einsum("...i,ij,...j->...", v, matrix, v) + v @ linear


def positive(dimension: int, seed: int) -> Tensor:
    """A positive definite matrix with well separated eigenvalues 1, 1/2, 1/3, …, (d, d)."""
    generator = torch.Generator().manual_seed(seed)
    basis, _ = torch.linalg.qr(torch.randn(dimension, dimension, generator=generator, dtype=torch.float64))
    return basis @ torch.diag(1 / torch.arange(1, dimension + 1).double()) @ basis.T


def perceptron() -> nn.Sequential:
    torch.manual_seed(0)
    layers = [nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 4)]
    return nn.Sequential(*layers).double()


def classes(n: int = 24) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n, 5, generator=generator, dtype=torch.float64), torch.arange(n) % 4


def scale_units(point: Point) -> Point:
    """The same function: hidden unit j of the first layer times λ_j, its outgoing weights over λ_j."""
    factors = torch.logspace(-1, 1, 8, dtype=torch.float64)
    return {
        **point,
        "0.weight": factors[:, None] * point["0.weight"],
        "0.bias": factors * point["0.bias"],
        "2.weight": point["2.weight"] / factors,
    }


def scale_layers(point: Point) -> Point:
    """The same function: the first layer times 5, the weights of the second over 5."""
    return {
        **point,
        "0.weight": 5 * point["0.weight"],
        "0.bias": 5 * point["0.bias"],
        "2.weight": point["2.weight"] / 5,
    }
