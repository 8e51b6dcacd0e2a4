"""The criterion for a deviation that vanishes as a power of eta: its slope in log-log coordinates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from numeric.comparison.least_squares import straight_line
from numeric.comparison.samples import FloatArray, Samples, as_array, same_length
from numeric.comparison.verdict import Outcome, Verdict


@dataclass(frozen=True)
class ConvergenceOrder:
    """deviation ~ eta^order, tested by equivalence: the whole interval slope ± z_threshold errors has to lie
    on one side of the tolerance.

    order, tolerance: expected slope and the largest difference from it that still counts as this order
    (dimensionless; below 0.5, or neighbouring orders overlap). floor: deviations at or below it are
    rounding, not signal. The slope's error comes from the scatter about the line, so at least three values
    of eta are needed.
    """

    order: float
    tolerance: float = 0.2
    floor: float = 1e-13
    z_threshold: float = 2.0

    @property
    def criterion(self) -> str:
        return (
            "order of convergence: slope of log deviation against log eta over 3 or more values; confirmed "
            "if slope ± "
            f"{self.z_threshold:g} standard errors lies within {self.tolerance:g} of {self.order:g}, "
            "refuted if it "
            f"lies outside, inconclusive if it straddles the bound or a deviation is below {self.floor:g}"
        )

    def judge(self, mechanism: str, eta: Samples, deviation: Samples, n: int | None = None) -> Verdict:
        """eta: (k,) positive, dimensionless; deviation: (k,) nonnegative, any unit. n: runs behind the
        points, by default one each. CheckError when lengths differ.
        """
        etas, deviations = as_array(eta, "eta"), as_array(deviation, "the deviations")
        same_length(eta=etas, deviation=deviations)
        count = len(etas) if n is None else n
        details: dict[str, object] = {"eta": etas, "deviation": deviations, "tolerance": self.tolerance}
        reason = self._unusable(etas, deviations)
        if reason:
            details["reason"] = reason
            nan = float("nan")
            return Verdict(mechanism, "inconclusive", self.order, nan, None, None, count, self.criterion, details)
        slope, intercept, error = straight_line(np.log(etas), np.log(deviations))
        details["intercept"] = intercept
        distance, margin = abs(slope - self.order), self.z_threshold * error
        outcome: Outcome
        if distance + margin <= self.tolerance:
            outcome = "confirmed"
        elif distance - margin > self.tolerance:
            outcome = "refuted"
        else:
            outcome = "inconclusive"
            details["reason"] = f"the slope {slope:.3g} ± {error:.2g} straddles the tolerance: add values of eta"
        # No z: the test asks whether the slope is near the order, not whether the two can be told apart.
        return Verdict(mechanism, outcome, self.order, slope, error, None, count, self.criterion, details)

    def _unusable(self, eta: FloatArray, deviation: FloatArray) -> str:
        if not (np.isfinite(eta).all() and np.isfinite(deviation).all()):
            return "a deviation or eta is not a finite number"
        if len(np.unique(eta)) < 3 or (eta <= 0).any():
            return "three distinct positive values of eta are needed"
        if (deviation <= self.floor).any():
            return f"a deviation is not above {self.floor:g}, where rounding hides the order: use larger eta"
        return ""
