"""Scale equilibrium: the invisible scale from above and from below, and its averages as ηλ falls."""

from __future__ import annotations

from typing import Any

import numpy as np

from numeric.experiments.experiment import Experiment
from numeric.reporting.mechanisms.drawing import Drawing, Plot


def scale_equilibrium(details: dict[str, Any], experiment: Experiment, functions: Any) -> Drawing:
    """Trajectories of r⁴ at the smallest ηλ, then its averages and the rate against ηλ where all are finite."""
    if "trajectories" not in details:
        return [], ""
    distances = dict(details["trajectories"])
    trajectory = {
        "steps": distances.pop("steps"),
        "distances": distances,
        "linear_steps": True,
        "ylabel": "r⁴ over its predicted equilibrium (dimensionless)",
        "title": "The invisible scale under weight decay, from above and from below",
    }
    plots: list[Plot] = [("trajectories", trajectory)]
    if np.isfinite([details["ratio"][name] for name in details["ratio"]]).all():
        extrapolation = {
            "eta": details["decay"],
            "ratio": details["ratio"],
            "error": details["error"],
            "xlabel": "ηλ (dimensionless)",
            "title": "Time averages of r⁴ and the rate of relaxation over their predictions",
        }
        plots.append(("extrapolation", extrapolation))
    return plots, (
        "r⁴ settles at ηE‖rg‖²/(2λ − ηλ²) from both sides; averages and rate over their predictions tend to one as ηλ "
        "falls."
    )
