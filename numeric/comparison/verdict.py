"""The outcome of one check: what was predicted, what was measured, and what the test says of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch

Outcome = Literal["confirmed", "refuted", "inconclusive"]


def jsonable(value: Any) -> Any:
    """`value` as JSON can hold it: tensors and arrays become lists, non-finite numbers None."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().tolist()
    elif isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): jsonable(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


@dataclass(frozen=True)
class Verdict:
    """What a check decided.

    mechanism: name of the prediction that was checked. predicted, measured and standard_error share the unit
    of the quantity the criterion compares (dimensionless for ratios, slopes and relative residuals). z:
    deviation in standard errors, None where nothing is random. n: independent observations used. criterion:
    one sentence with the test that was fixed beforehand. details: further numbers; `details["reason"]` says
    why an inconclusive check could not decide.
    """

    mechanism: str
    verdict: Outcome
    predicted: float
    measured: float
    standard_error: float | None
    z: float | None
    n: int
    criterion: str
    details: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The verdict as a plain record; a number that is NaN or infinite becomes None."""
        return {
            "mechanism": self.mechanism,
            "verdict": self.verdict,
            "predicted": jsonable(self.predicted),
            "measured": jsonable(self.measured),
            "standard_error": jsonable(self.standard_error),
            "z": jsonable(self.z),
            "n": self.n,
            "criterion": self.criterion,
            "details": jsonable(self.details),
        }

    def __str__(self) -> str:
        error = "" if self.standard_error is None else f" ± {self.standard_error:.2g}"
        score = "" if self.z is None else f", z = {self.z:+.2f}"
        reason = f" ({self.details['reason']})" if "reason" in self.details else ""
        return (
            f"{self.mechanism}: {self.verdict}: measured {self.measured:.6g}{error}, "
            f"predicted {self.predicted:.6g}{score}, n = {self.n}{reason}"
        )
