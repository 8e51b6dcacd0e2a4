"""Orbit volume: the predictor and its moments on slices of constant charges."""

from __future__ import annotations

from typing import Any

from numeric.experiments.experiment import Experiment
from numeric.reporting.mechanisms.drawing import Drawing, Plot


def orbit_volume(details: dict[str, Any], experiment: Experiment, functions: Any) -> Drawing:
    """Histograms of w for one coordinate, then moments against the variance of the charges."""
    if "ratios" not in details:
        return [], ""
    thins = "samples" in details
    extrapolation = {
        "eta": details["inverse_stiffness" if thins else "eta"],
        "ratio": {name: [value for value, _ in pairs] for name, pairs in details["ratios"].items()},
        "error": {name: [error for _, error in pairs] for name, pairs in details["ratios"].items()},
        "limit": "1/κ = 0" if thins else "η = 0",
        "xlabel": "1/κ, variance of the charges over T" if thins else "η",
        "title": "Langevin runs with held charges, as the step gets small" + ", and the slice thin" * thins,
    }
    plots: list[Plot] = [("extrapolation", extrapolation)]
    caption = (
        "Langevin runs whose charges are held with stiffness κ against the derived law on slices of constant charges; "
        "all ratios tend to one as the step gets small" + (", and the slice thin." if thins else ".")
    )
    if thins:
        density = {
            "eta": details["eta"],
            "samples": details["samples"],
            "grid": details["grid"],
            "density": details["density"],
            "title": "Predictor over replicas with held charges against the derived law on the slice",
        }
        plots.insert(0, ("density", density))
    return plots, caption
