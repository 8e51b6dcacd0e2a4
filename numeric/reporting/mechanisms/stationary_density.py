"""Stationary density: the predictor over replicas, and its moments as η falls."""

from __future__ import annotations

from typing import Any

from numeric.experiments.experiment import Experiment
from numeric.reporting.mechanisms.drawing import Drawing


def stationary_density(details: dict[str, Any], experiment: Experiment, functions: Any) -> Drawing:
    """Histograms at every η, then variance and shift of the mean against η; for a matrix of its nuclear norm."""
    if "samples" not in details:
        return [], ""
    matrix = "ratios" in details
    distances = zip(details["distribution_distance"], details["sampling_distance"], strict=True)
    density = {
        "eta": details["eta"],
        "samples": details["samples"],
        "grid": details["grid"],
        "density": details["density"],
        "notes": [f"KS distance {found:.4f}\n(sampling alone {alone:.4f})" for found, alone in distances],
        "title": f"{'Nuclear norm' if matrix else 'Predictor'} over replicas against the derived stationary density",
        **({"xlabel": "nuclear norm of w (dimensionless)"} if matrix else {}),
    }
    if matrix:
        ratios = {name: [found[name] for found in details["ratios"]] for name in details["ratios"][0]}
    else:
        ratios = {"variance": details["variance_ratio"], "shift of the mean": details["shift_ratio"]}
    extrapolation = {
        "eta": details["eta"],
        "ratio": {name: [value for value, _ in pairs] for name, pairs in ratios.items()},
        "error": {name: [error for _, error in pairs] for name, pairs in ratios.items()},
    }
    figures = [("density", density), ("extrapolation", extrapolation)]
    if matrix:
        return figures, (
            "Replicas at three step sizes at one noise temperature ησ², target zero; the moments of the nuclear norm, "
            "and the joint density of the singular values along s², over their predictions tend to one as η falls."
        )
    return figures, (
        "Replicas at three step sizes at one noise temperature ησ²; the variance, and the shift of the mean from the "
        "target, over their predictions tend to one as η falls."
    )
