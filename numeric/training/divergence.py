"""The first step at which a replica's loss is not finite, found without waiting for the device each step."""

from __future__ import annotations

import torch
from torch import Tensor

from numeric.training.model import Point

WINDOW = 100


class DivergenceWatch:
    """Keeps the losses of up to WINDOW steps where they are and looks at them together.

    first_steps: (R,) int64 on the CPU, the first step whose loss was NaN or infinite, −1 for a replica
    without one.
    """

    def __init__(self, replicas: int, dtype: torch.dtype, device: torch.device) -> None:
        self.first_steps = torch.full((replicas,), -1, dtype=torch.int64)
        self._losses = torch.zeros((WINDOW, replicas), dtype=dtype, device=device)
        self._count = 0

    def note(self, losses: Tensor) -> None:
        """Keep the losses (steps, R) of one step or several. At most WINDOW steps between two calls of `look`."""
        end = self._count + len(losses)
        self._losses[self._count : end] = losses
        self._count = end

    def look(self, next_step: int) -> None:
        """Examine the losses noted since the last look; `next_step` is the step after the last of them."""
        losses = self._losses[: self._count]
        # One pass and one number: the sum is finite only if every loss is.
        if not bool(torch.isfinite(losses.sum())):
            self._mark(~torch.isfinite(losses).cpu(), next_step - self._count)
        self._count = 0

    def look_at_end(self, point: Point, steps: int) -> None:
        """Count a replica whose last update left the finite numbers as diverged at step `steps`."""
        finite = [torch.isfinite(leaf).reshape(len(leaf), -1).all(dim=1) for leaf in point.values()]
        bad = ~torch.stack(finite).all(dim=0)
        self._mark(bad.cpu().unsqueeze(0), steps)

    def first(self) -> tuple[int, int] | None:
        """Step and replica of the earliest divergence, or None."""
        diverged = (self.first_steps >= 0).nonzero().flatten()
        if len(diverged) == 0:
            return None
        replica = int(diverged[self.first_steps[diverged].argmin()])
        return int(self.first_steps[replica]), replica

    def _mark(self, bad: Tensor, start: int) -> None:
        fresh = bad.any(dim=0) & (self.first_steps < 0)
        self.first_steps[fresh] = start + bad.int().argmax(dim=0)[fresh]
