"""An estimated number with its standard error."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """value and standard_error in the unit of the samples; n: how many samples went in."""

    value: float
    standard_error: float
    n: int

    def z(self, predicted: float) -> float:
        """Deviation from `predicted` in standard errors; signed infinity when the error is zero."""
        deviation = self.value - predicted
        if self.standard_error > 0:
            return deviation / self.standard_error
        if deviation == 0:
            return 0.0
        return float("inf") if deviation > 0 else float("-inf")

    def to_json(self) -> dict[str, float | None]:
        """{value, standard_error}, an error that is not known None."""
        return {"value": self.value, "standard_error": self.standard_error if self.standard_error < math.inf else None}

    def __str__(self) -> str:
        return f"{self.value:.6g} ± {self.standard_error:.2g} (n = {self.n})"
