"""Cross-entropy: one of c classes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Categorical:
    """y one of c classes with logits f: natural parameters (n, p, c), S = diag(π) − ππᵀ of rank c − 1.

    axis: of the classes in the output; the axes besides the samples' are p independent events (tokens, pixels).
    log_probabilities: the model gives log π itself (nn.NLLLoss).
    """

    axis: int = 1
    log_probabilities: bool = False

    @property
    def name(self) -> str:
        return "categorical"

    def natural(self, output: Tensor) -> Tensor:
        classes = output.shape[self.axis]
        return output.movedim(self.axis, -1).reshape(output.shape[0], -1, classes)

    def output(self, natural: Tensor, like: Tensor) -> Tensor:
        logits = natural.log_softmax(-1) if self.log_probabilities else natural
        return logits.reshape(like.movedim(self.axis, -1).shape).movedim(-1, self.axis)

    def mean(self, natural: Tensor) -> Tensor:
        return natural.softmax(-1)

    def root(self, natural: Tensor) -> Tensor:
        """diag(q) Q, Q an orthonormal basis of the complement of q = √π: S = diag(q)(I − qqᵀ)diag(q)."""
        root = natural.softmax(-1).sqrt()
        return root.unsqueeze(-1) * _complement(root)

    def raised(self, natural: Tensor, residual: Tensor) -> Tensor:
        # S(r/π) = r − π Σr, and residuals sum to zero.
        return residual / natural.softmax(-1).clamp_min(torch.finfo(natural.dtype).tiny)

    def whitened(self, natural: Tensor, form: Tensor) -> Tensor:
        # diag(q) QQᵀ diag(q)⁻¹ leaves a form alone whose rows sum to zero, since Q Qᵀ = I − q (diag(q) 1)ᵀ.
        root = natural.softmax(-1).sqrt().clamp_min(torch.finfo(natural.dtype).tiny ** 0.5)
        basis = _complement(root)
        return basis.mT @ (form / root.unsqueeze(-1) / root.unsqueeze(-2)) @ basis

    def sample_score(self, natural: Tensor, generator: torch.Generator) -> Tensor:
        probabilities = natural.softmax(-1)
        classes = probabilities.shape[-1]
        flat = probabilities.reshape(-1, classes).to(generator.device)
        drawn = torch.multinomial(flat, 1, generator=generator).to(natural.device).reshape(probabilities.shape[:-1])
        return torch.nn.functional.one_hot(drawn, classes).to(natural.dtype) - probabilities


def _complement(unit: Tensor) -> Tensor:
    """(..., c, c − 1): an orthonormal basis of the complement of unit vectors q ≥ 0, derived here.

    The last columns of the Householder reflector that carries the first unit vector to −q; nothing cancels as q ≥ 0.
    """
    first, rest = unit[..., :1], unit[..., 1:]
    outer = rest.unsqueeze(-1) * rest.unsqueeze(-2)
    bottom = torch.diag_embed(torch.ones_like(rest)) - outer / (1 + first).unsqueeze(-1)
    return torch.cat([-rest.unsqueeze(-2), bottom], -2)
