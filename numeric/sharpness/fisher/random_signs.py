"""Random signs, the probes of a trace."""

from __future__ import annotations

import torch
from torch import Tensor


def random_signs(number: int, like: Tensor, generator: torch.Generator) -> Tensor:
    """(number, r) independent signs in the dtype and on the device of `like` (r,)."""
    shape = (number, like.numel())
    return (2 * torch.randint(0, 2, shape, generator=generator, device=generator.device) - 1).to(like)
