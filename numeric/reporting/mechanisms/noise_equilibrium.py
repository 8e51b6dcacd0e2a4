"""Noise equilibrium: the charges on their way, and the ratios to the prediction as η falls."""

from __future__ import annotations

from typing import Any

import numpy as np

from numeric.experiments.experiment import Experiment
from numeric.reporting.mechanisms.drawing import Drawing


def noise_equilibrium(details: dict[str, Any], experiment: Experiment, functions: Any) -> Drawing:
    """Charges against time, then measured over predicted against η."""
    if "ratio" not in details:
        return [], ""
    labels = {key: f"η = {key}" for key in details["steps"]}
    parts = {
        part: {label: details[part][key] for key, label in labels.items()}
        for part in ("measured", "error", "predicted")
    }
    rates = {key: details["assumptions"][key]["rate"] for key in labels}
    relaxation = {
        **parts,
        "time": {label: rates[key] * np.asarray(details["steps"][key]) for key, label in labels.items()},
        "title": "Charges on their way from the start to the noise equilibrium",
    }
    extrapolation = {"eta": details["eta"], "ratio": details["ratio"], "error": details["ratio_error"]}
    supported = details["rivals"].get("supported")
    words = f" Of the rival forecasts of the charges, training supports: {supported}." if supported else ""
    return [("relaxation", relaxation), ("extrapolation", extrapolation)], (
        "Label noise moves the charges from their start to the derived equilibrium at the derived rate; time is in "
        "units of the fastest relaxation. Measured over predicted, of the way gone and of the rate, tends to one as η "
        f"falls.{words}"
    )
