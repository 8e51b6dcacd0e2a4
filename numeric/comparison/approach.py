"""The criterion for the limit of long training: a distance becomes small and keeps falling."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from numeric.comparison.samples import FloatArray, Samples, as_array
from numeric.comparison.verdict import Outcome, Verdict

WINDOW = 0.1  # fraction of the records averaged at the end, at least one record


@dataclass(frozen=True)
class Approach:
    """A distance falls below a fixed fraction of a reference distance and is still falling.

    fraction: of the reference (dimensionless, in (0, 1)). fall: between the middle and the end of the record
    the distance has to fall by this relative amount to count as falling. z_threshold: standard errors over
    replicas that each of the two statements has to clear; a single run is compared without an error.
    """

    fraction: float
    fall: float = 0.02
    z_threshold: float = 3.0

    @property
    def criterion(self) -> str:
        return (
            f"approach: mean distance over the last {WINDOW:.0%} of the records below {self.fraction:g} of "
            "the "
            f"reference, and at least {self.fall:.0%} below its value at half the time, each by "
            f"{self.z_threshold:g} "
            "standard errors over replicas; refuted if it stopped falling above that bound, inconclusive "
            "otherwise"
        )

    def judge(self, mechanism: str, distances: Samples, reference: float) -> Verdict:
        """distances: (T,) of one run or (R, T) of independent replicas, at equally spaced steps, in the unit
        of `reference`. predicted is the bound fraction * reference, measured the mean distance at the end.
        """
        array = np.atleast_2d(as_array(distances, "the distances", (1, 2)))
        replicas, length = array.shape
        bound = self.fraction * reference
        details: dict[str, object] = {"reference": reference, "fraction": self.fraction, "bound": True}
        reason = _unusable(array, reference)
        if reason:
            details["reason"] = reason
            nan = float("nan")
            return Verdict(mechanism, "inconclusive", bound, nan, None, None, replicas, self.criterion, details)
        window = max(int(WINDOW * length), 1)
        late = array[:, -window:].mean(axis=1)
        half = array[:, length // 2 - window // 2 :][:, :window].mean(axis=1)
        below, end, error = self._sign(late - bound)
        falling, *_ = self._sign(late - (1.0 - self.fall) * half)
        details |= {"at_half_time": float(half.mean()), "ratio_to_reference": float(late.mean() / reference)}
        outcome: Outcome
        if below < 0 and falling < 0:
            outcome = "confirmed"
        elif below > 0 and falling > 0:
            outcome = "refuted"
        else:
            outcome = "inconclusive"
            details["reason"] = _undecided(below, falling)
        return Verdict(mechanism, outcome, bound, end + bound, error, None, replicas, self.criterion, details)

    def _sign(self, differences: FloatArray) -> tuple[int, float, float | None]:
        """−1, 0 (within the noise) or +1 for the mean of (R,) differences; then the mean and its error."""
        mean = float(differences.mean())
        if len(differences) == 1:
            return int(np.sign(mean)), mean, None
        error = float(differences.std(ddof=1) / np.sqrt(len(differences)))
        return (int(np.sign(mean)) if abs(mean) > self.z_threshold * error else 0), mean, error


def _unusable(distances: FloatArray, reference: float) -> str:
    if not np.isfinite(distances).all():
        return "a distance is not a finite number"
    if not (np.isfinite(reference) and reference > 0):
        return "the reference distance is not a positive number"
    if distances.shape[1] < 10:
        return f"at least 10 recorded steps are needed and {distances.shape[1]} were given"
    return ""


def _undecided(below: int, falling: int) -> str:
    if below == 0:
        return "the distance at the end cannot be told from the bound: use more replicas"
    if below > 0:
        return "still above the bound when training ended, and not shown to have stopped falling: train longer"
    return "below the bound, but not shown to be falling still: train with a smaller step or more replicas"
