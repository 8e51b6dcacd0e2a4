"""Squared error: independent normal variables of unit variance."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Gaussian:
    """y ~ N(f, 1) for every number of the output: natural parameters (n, p, 1), S = 1."""

    @property
    def name(self) -> str:
        return "gaussian"

    def natural(self, output: Tensor) -> Tensor:
        return output.reshape(output.shape[0], -1, 1)

    def output(self, natural: Tensor, like: Tensor) -> Tensor:
        return natural.reshape(like.shape)

    def mean(self, natural: Tensor) -> Tensor:
        return natural

    def root(self, natural: Tensor) -> Tensor:
        return torch.ones_like(natural).unsqueeze(-1)

    def raised(self, natural: Tensor, residual: Tensor) -> Tensor:
        return residual

    def whitened(self, natural: Tensor, form: Tensor) -> Tensor:
        return form

    def sample_score(self, natural: Tensor, generator: torch.Generator) -> Tensor:
        noise = torch.randn(natural.shape, generator=generator, device=generator.device, dtype=natural.dtype)
        return noise.to(natural.device)
