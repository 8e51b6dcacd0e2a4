"""Where a run lay between two measurements: how it oscillated along the critical directions, and across them."""

from __future__ import annotations

import torch
from torch import Tensor

# Steps between two measurements below which the oscillation is not told from the line that the floor follows.
FEWEST = 7


class Trail:
    """The points θ (D,) of consecutive steps, of which are kept their sum, the middle one, and all positions along a
    frame (D, k): two vectors of memory. steps: how many will come."""

    def __init__(self, frame: Tensor, steps: int) -> None:
        self.frame = frame
        self.middle_step = steps // 2
        self.along: list[Tensor] = []
        self.total = torch.zeros_like(frame[:, 0])
        self.middle = self.total

    def add(self, theta: Tensor) -> None:
        """The point before the next step."""
        if len(self.along) == self.middle_step:
            self.middle = theta
        self.along.append(theta @ self.frame)
        self.total = self.total + theta

    def oscillation(self) -> Tensor:
        """E xxᵀ (k, k) along the frame, float64; nan for too few steps.

        The floor under the points moves slowly: it is their least-squares line. An oscillation at the edge has hardly
        any power at low frequency, of which the line would take something.
        """
        steps, size = len(self.along), self.frame.shape[1]
        if steps < FEWEST:
            return torch.full((size, size), torch.nan, dtype=torch.float64)
        along = torch.stack(self.along).to("cpu", torch.float64)
        time = torch.linspace(-1, 1, steps, dtype=torch.float64)
        line, _ = torch.linalg.qr(torch.stack([torch.ones_like(time), time], dim=1))
        left = along - line @ (line.mT @ along)
        return left.mT @ left / steps

    def deviation(self) -> Tensor | None:
        """How far the middle point lies from the mean of all (D,), which a floor in even motion has left by nothing;
        None for too few steps."""
        if len(self.along) < FEWEST:
            return None
        return self.middle - self.total / len(self.along)
