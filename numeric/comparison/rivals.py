"""Two or more statements about one observable, judged on the same runs: which of them does training support?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from numeric.comparison.estimate import Estimate
from numeric.comparison.verdict import jsonable
from numeric.errors import CheckError


@dataclass(frozen=True)
class RivalOutcome:
    """supported: name of the statement that training supports, or None. forecasts: name → value; z: name → deviation
    of the measured value in standard errors; reason: why none is supported, else empty."""

    supported: str | None
    forecasts: dict[str, float]
    measured: Estimate
    z: dict[str, float]
    criterion: str
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """The outcome as a plain record."""
        return {
            "supported": self.supported,
            "forecasts": jsonable(self.forecasts),
            "measured": jsonable(self.measured.value),
            "standard_error": jsonable(self.measured.standard_error),
            "z": jsonable(self.z),
            "criterion": self.criterion,
            "reason": self.reason,
        }


@dataclass(frozen=True)
class Rivals:
    """z_threshold: standard errors within which the supported statement must lie. allowance: for statements of leading
    order, the part of the distance to the nearest other forecast within which it may lie instead. separation: the least
    distance of two forecasts in standard errors at which they count as different; above twice the threshold, no two of
    them can both be near."""

    z_threshold: float = 3.0
    allowance: float = 0.0
    separation: float = 9.0

    @property
    def criterion(self) -> str:
        return (
            f"rivals: a statement is supported if it lies within {self.z_threshold:g} standard errors of the measured "
            f"value, or within {self.allowance:g} of the distance to the nearest other forecast, provided that all "
            f"forecasts are at least {self.separation:g} standard errors apart; "
            "neither if none does"
        )

    def judge(self, forecasts: Mapping[str, float], measured: Estimate) -> RivalOutcome:
        """forecasts: name of the statement → its value of the observable; measured: that observable, in the same unit,
        from runs that all statements are about. CheckError for fewer than two forecasts."""
        if len(forecasts) < 2:
            raise CheckError("a comparison of rivals needs at least two forecasts of one observable")
        z = {name: measured.z(value) for name, value in forecasts.items()}
        near = [
            name
            for name, value in forecasts.items()
            if abs(measured.value - value)
            <= max(
                self.z_threshold * measured.standard_error,
                self.allowance * min(abs(value - other) for key, other in forecasts.items() if key != name),
            )
        ]
        close = [
            pair
            for pair in combinations(forecasts, 2)
            if not abs(forecasts[pair[0]] - forecasts[pair[1]]) >= self.separation * measured.standard_error
        ]
        supported, reason = None, ""
        if close:
            reason = f"undecided: the forecasts of {' and '.join(close[0])} cannot be told apart here"
        elif not near:
            reason = "neither: no forecast lies near the measured value"
        else:
            supported = near[0]
        return RivalOutcome(supported, dict(forecasts), measured, z, self.criterion, reason)
