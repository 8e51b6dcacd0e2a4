"""Stationary density: the predictor over replicas, and its moments as η falls."""

from __future__ import annotations

from typing import Any

from numeric.experiments.experiment import Experiment
from numeric.reporting.mechanisms.drawing import Drawing


def stationary_density(details: dict[str, Any], experiment: Experiment, functions: Any) -> Drawing:
    """Histograms at every η, then variance and shift of the mean against η."""
    if "samples" not in details:
        return [], ""
    distances = zip(details["distribution_distance"], details["sampling_distance"], strict=True)
    density = {
        "eta": details["eta"],
        "samples": details["samples"],
        "grid": details["grid"],
        "density": details["density"],
        "notes": [f"KS distance {found:.4f}\n(sampling alone {alone:.4f})" for found, alone in distances],
        "title": "Predictor over replicas against the derived stationary density",
    }
    ratios = {"variance": details["variance_ratio"], "shift of the mean": details["shift_ratio"]}
    extrapolation = {
        "eta": details["eta"],
        "ratio": {name: [value for value, _ in pairs] for name, pairs in ratios.items()},
        "error": {name: [error for _, error in pairs] for name, pairs in ratios.items()},
    }
    return [("density", density), ("extrapolation", extrapolation)], (
        "Replicas at three step sizes at one noise temperature ησ²; the variance, and the shift of the mean from the "
        "target, over their predictions tend to one as η falls."
    )
