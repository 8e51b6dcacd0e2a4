"""Sharpness of real models: the measures the literature argues about, each with the evidence of its invariance."""

from __future__ import annotations

from numeric.sharpness.blocks import Blocks, View, attention_blocks, bind_module, lora_blocks, pair_blocks
from numeric.sharpness.measure import Measure, Measurement, evaluate
from numeric.sharpness.objective import Objective
from numeric.sharpness.quotient import geodesic
from numeric.sharpness.value import Value

__all__ = [
    "Blocks",
    "Measure",
    "Measurement",
    "Objective",
    "Value",
    "View",
    "attention_blocks",
    "bind_module",
    "evaluate",
    "geodesic",
    "lora_blocks",
    "pair_blocks",
]
