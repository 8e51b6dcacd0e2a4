"""The criterion for a law without approximation: it holds to rounding, on every step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from numeric.comparison.samples import Samples, as_array
from numeric.comparison.verdict import Outcome, Verdict


@dataclass(frozen=True)
class ExactLaw:
    """tolerance: largest relative residual (dimensionless) left by rounding; n: least number of residuals."""

    tolerance: float
    n: int = 1

    @property
    def criterion(self) -> str:
        return (
            f"exact law: confirmed if every one of at least {self.n} relative residuals stays below "
            f"{self.tolerance:g}, refuted by a single larger one"
        )

    def judge(self, mechanism: str, residuals: Samples) -> Verdict:
        """residuals: relative residuals of the law, (T,) or (R, T), dimensionless; their signs do not matter.

        A residual above the tolerance refutes even when another one is NaN; NaN alone, or fewer than n,
        decides nothing.
        """
        array = np.abs(as_array(residuals, "the residuals", (1, 2)).ravel())
        finite = array[~np.isnan(array)]
        worst = float(finite.max()) if len(finite) else float("nan")
        details: dict[str, object] = {"tolerance": self.tolerance, "not_a_number": len(array) - len(finite)}
        if worst > self.tolerance:
            return Verdict(mechanism, "refuted", 0.0, worst, None, None, len(finite), self.criterion, details)
        if len(finite) < len(array):
            details["reason"] = f"{len(array) - len(finite)} residuals are not a number"
        elif len(finite) < self.n:
            details["reason"] = f"{self.n} residuals were planned and {len(finite)} recorded: train longer"
        outcome: Outcome = "inconclusive" if "reason" in details else "confirmed"
        return Verdict(mechanism, outcome, 0.0, worst, None, None, len(finite), self.criterion, details)
