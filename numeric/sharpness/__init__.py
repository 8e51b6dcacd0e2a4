"""Sharpness of real models: the measures the literature argues about, each with the evidence of its invariance."""

from __future__ import annotations

from numeric.sharpness.measure import Measure, Measurement, evaluate
from numeric.sharpness.objective import Objective
from numeric.sharpness.value import Value

__all__ = ["Measure", "Measurement", "Objective", "Value", "evaluate"]
