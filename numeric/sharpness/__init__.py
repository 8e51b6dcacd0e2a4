"""Sharpness of real models: the measures the literature argues about, each with the evidence of its invariance."""

from __future__ import annotations

from numeric.sharpness.blocks import (
    Absent,
    Block,
    Blocks,
    View,
    attention_blocks,
    bind_module,
    find_blocks,
    lora_blocks,
    pair_blocks,
)
from numeric.sharpness.checkpoint import load_checkpoint
from numeric.sharpness.fisher.basin_mass import basin_mass
from numeric.sharpness.fisher.noise_alignment import noise_fisher_alignment
from numeric.sharpness.fisher.pac_bayes import pac_bayes
from numeric.sharpness.fisher.sharpness import fisher_sharpness
from numeric.sharpness.fisher.stationary import stationary_covariance, stationary_loss
from numeric.sharpness.flatness.relative_flatness import relative_flatness
from numeric.sharpness.gradient_noise.alignment import noise_alignment
from numeric.sharpness.gradient_noise.batch_sharpness import batch_sharpness
from numeric.sharpness.hessian.eigenvalues import eigenpairs, lambda_max, top_eigenvalues
from numeric.sharpness.hessian.trace import hessian_trace
from numeric.sharpness.measure import Measure, Measurement, evaluate
from numeric.sharpness.objective import Objective
from numeric.sharpness.perturbation.average import average
from numeric.sharpness.perturbation.worst_case import worst_case
from numeric.sharpness.quotient.geodesic import geodesic
from numeric.sharpness.registry import MEASURES, Settings
from numeric.sharpness.table import Row, table
from numeric.sharpness.value import Value

__all__ = [
    "MEASURES",
    "Absent",
    "Block",
    "Blocks",
    "Measure",
    "Measurement",
    "Objective",
    "Row",
    "Settings",
    "Value",
    "View",
    "attention_blocks",
    "average",
    "basin_mass",
    "batch_sharpness",
    "bind_module",
    "eigenpairs",
    "evaluate",
    "find_blocks",
    "fisher_sharpness",
    "geodesic",
    "hessian_trace",
    "lambda_max",
    "load_checkpoint",
    "lora_blocks",
    "noise_alignment",
    "noise_fisher_alignment",
    "pac_bayes",
    "pair_blocks",
    "relative_flatness",
    "stationary_covariance",
    "stationary_loss",
    "table",
    "top_eigenvalues",
    "worst_case",
]
