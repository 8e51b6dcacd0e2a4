"""How far Q'(w) is from the row space of X, at a scale of the leaf that may differ from one coordinate to the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from numeric.comparison.mechanisms.monotone_inverse import monotone_inverse
from numeric.comparison.mechanisms.reading import formula
from numeric.row_space import relative_misfit, row_space


@dataclass(frozen=True)
class KKTResidual:
    """mirror: τ = Q'(w), (R, d), NaN where no τ belongs to w; outside: its part outside the row space over its length,
    (R, d); misfit: the largest ‖Xw − y‖ / ‖y‖."""

    mirror: Tensor
    outside: Tensor
    misfit: float

    @property
    def unattained(self) -> int:
        """How many coefficients lie outside the range of w(τ)."""
        return int(torch.isnan(self.mirror).sum())

    @property
    def size(self) -> float:
        """The relative length of the part outside, averaged over the replicas."""
        return float(torch.linalg.vector_norm(self.outside, dim=-1).mean())


def kkt_residual(functions: Any, ends: Tensor, scale: Tensor | float, x: Tensor, y: Tensor) -> KKTResidual:
    """The residual of end points (R, d) at the scale α, a number or (R, d); x: (n, d), y: (n,)."""
    rows, _ = row_space(x, y)
    inverse = formula(functions, "mirror_inverse")
    interval = getattr(functions, "mirror_interval", None)
    limits = interval(torch.as_tensor(scale, dtype=torch.float64)) if interval else {}

    def on_leaf(tau: Tensor) -> Tensor:
        # Beyond a pole the formula may be finite again, and means nothing there.
        inside = (tau > limits.get("low", -torch.inf)) & (tau < limits.get("high", torch.inf))
        return torch.where(inside, inverse(tau, scale), torch.nan)

    mirror = monotone_inverse(on_leaf, ends)
    outside = (mirror - mirror @ rows.mT @ rows) / torch.linalg.vector_norm(mirror, dim=-1, keepdim=True)
    return KKTResidual(mirror, outside, float(relative_misfit(x, y, ends).max()))
