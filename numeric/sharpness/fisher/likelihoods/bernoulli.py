"""Binary cross-entropy: independent coins."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Bernoulli:
    """y ∈ {0, 1} with log-odds f for every number of the output: natural parameters (n, p, 1), S = p(1 − p).

    probabilities: the model gives p itself (nn.BCELoss) and not its log-odds.
    """

    probabilities: bool = False

    @property
    def name(self) -> str:
        return "bernoulli"

    def natural(self, output: Tensor) -> Tensor:
        flat = output.reshape(output.shape[0], -1, 1)
        return torch.logit(flat) if self.probabilities else flat

    def output(self, natural: Tensor, like: Tensor) -> Tensor:
        return (torch.sigmoid(natural) if self.probabilities else natural).reshape(like.shape)

    def mean(self, natural: Tensor) -> Tensor:
        return torch.sigmoid(natural)

    def root(self, natural: Tensor) -> Tensor:
        return _variance(natural).sqrt().unsqueeze(-1)

    def raised(self, natural: Tensor, residual: Tensor) -> Tensor:
        return residual / _variance(natural)

    def whitened(self, natural: Tensor, form: Tensor) -> Tensor:
        return form / _variance(natural).unsqueeze(-1)

    def sample_score(self, natural: Tensor, generator: torch.Generator) -> Tensor:
        drawn = torch.rand(natural.shape, generator=generator, device=generator.device, dtype=natural.dtype)
        return (drawn.to(natural.device) < torch.sigmoid(natural)).to(natural.dtype) - torch.sigmoid(natural)


def _variance(natural: Tensor) -> Tensor:
    """σ(f)σ(−f) and not p(1 − p): a confident coin keeps its digits."""
    return (torch.sigmoid(natural) * torch.sigmoid(-natural)).clamp_min(torch.finfo(natural.dtype).tiny)
