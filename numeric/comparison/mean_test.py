"""The criterion for a predicted mean, tested on independent replicas."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from numeric.comparison.samples import Samples, as_array
from numeric.comparison.statistics import replica_mean
from numeric.comparison.verdict import Outcome, Verdict


@dataclass(frozen=True)
class MeanTest:
    """A two-sided test of a mean, with the power it must have.

    z_threshold: standard errors (dimensionless) beyond which the prediction is refuted. n: replicas planned.
    resolution: the test must be able to see a deviation of this fraction of the effect |predicted − null|
    (z_threshold standard errors fit into it); a noisier mean that agrees is inconclusive, not confirmed.
    """

    z_threshold: float = 4.0
    n: int = 2
    resolution: float = 0.5

    @property
    def criterion(self) -> str:
        return (
            f"mean of at least {self.n} independent replicas: refuted if it lies more than "
            f"{self.z_threshold:g} "
            f"standard errors from the prediction, confirmed otherwise, provided that {self.z_threshold:g} "
            "standard "
            f"errors are at most {self.resolution:g} of the predicted effect"
        )

    def judge(self, mechanism: str, estimates: Samples, predicted: float, null: float = 0.0) -> Verdict:
        """estimates: one number per independent replica, (R,), in the unit of `predicted`.

        null: the value that would be measured if the mechanism did nothing; predicted − null is the effect, and a
        prediction of no effect cannot be confirmed this way: use the value of a rival statement as null then.
        """
        array = as_array(estimates, "the replica estimates")
        details: dict[str, object] = {"null": null, "z_threshold": self.z_threshold}
        reason = self._unusable(array, predicted)
        if reason:
            nan = float("nan")
            details["reason"] = reason
            return Verdict(mechanism, "inconclusive", predicted, nan, None, None, len(array), self.criterion, details)
        mean = replica_mean(array)
        z = mean.z(predicted)
        seen = self.z_threshold * mean.standard_error
        details["smallest_visible_deviation"] = seen
        outcome: Outcome
        if abs(z) > self.z_threshold:
            outcome = "refuted"
        elif seen <= self.resolution * abs(predicted - null):
            outcome = "confirmed"
        else:
            outcome = "inconclusive"
            details["reason"] = f"only deviations above {seen:.3g} are visible: use more replicas"
        return Verdict(
            mechanism, outcome, predicted, mean.value, mean.standard_error, z, mean.n, self.criterion, details
        )

    def _unusable(self, array: np.ndarray, predicted: float) -> str:
        if not np.isfinite(predicted):
            return "the prediction is not a finite number"
        if not np.isfinite(array).all():
            return f"{int((~np.isfinite(array)).sum())} of {len(array)} replicas are not finite"
        if len(array) < max(self.n, 2):
            return f"{max(self.n, 2)} replicas were planned and {len(array)} came"
        return ""
