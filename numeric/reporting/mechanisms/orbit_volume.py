"""Orbit volume: the predictor and its moments on slices of constant charges."""

from __future__ import annotations

from typing import Any

from numeric.experiments.experiment import Experiment
from numeric.reporting.mechanisms.drawing import Drawing, Plot


def orbit_volume(details: dict[str, Any], experiment: Experiment, functions: Any) -> Drawing:
    """Histograms of w for one coordinate, then moments against the variance of the charges."""
    if "ratios" not in details:
        return [], ""
    extrapolation = {
        "eta": details["inverse_stiffness"],
        "ratio": {name: [value for value, _ in pairs] for name, pairs in details["ratios"].items()},
        "error": {name: [error for _, error in pairs] for name, pairs in details["ratios"].items()},
        "limit": "1/κ = 0",
        "xlabel": "1/κ, variance of the charges over T",
        "title": "Langevin runs with held charges, as the slice gets thin and the step small",
    }
    plots: list[Plot] = [("extrapolation", extrapolation)]
    caption = (
        "Langevin runs whose charges are held with stiffness κ against the derived law on slices of constant charges; "
        "all ratios tend to one as the slice gets thin."
    )
    if "samples" in details:
        density = {
            "eta": details["eta"],
            "samples": details["samples"],
            "grid": details["grid"],
            "density": details["density"],
            "title": "Predictor over replicas with held charges against the derived law on the slice",
        }
        plots.insert(0, ("density", density))
    return plots, caption
