"""Sharpness gap: measured over forecast as the step gets small."""

from __future__ import annotations

from typing import Any

from numeric.experiments.experiment import Experiment
from numeric.reporting.mechanisms.drawing import Drawing


def sharpness_gap(details: dict[str, Any], experiment: Experiment, functions: Any) -> Drawing:
    """Ratios at every step with the line extrapolated to step zero; nothing where a run was not at the edge."""
    if "coefficients" not in details:
        return [], ""
    extrapolation = {
        "eta": details["eta"],
        "ratio": {"gap": details["ratio"]},
        "error": {"gap": details["ratio_error"]},
        "xlabel": "η",
        "title": "Sharpness gap of Langevin runs at the edge, measured over forecast",
    }
    return [("extrapolation", extrapolation)], (
        "How far the sharpness settles below 2/η, over the forecast from α, β and the noise along u and ∇S; the ratio "
        "tends to one as the step gets small at a fixed temperature."
    )
