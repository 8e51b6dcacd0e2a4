"""Weight decay: every end on the curve of the smallest norm of its fibre or orbit."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from numeric.experiments.experiment import Experiment
from numeric.reporting.mechanisms.drawing import Drawing


def weight_decay(details: dict[str, Any], experiment: Experiment, functions: Any) -> Drawing:
    """Of coordinates the squared norm against w; about orbits against its derived minimum."""
    if "start_norm" in details:
        return _of_group(details)
    run = experiment.runs[0]
    norm = functions.weight_decay_norm
    with torch.no_grad():
        w, start = run.module.predictor(run.final), run.module.predictor(run.initial)
    reach = 2 * max(float(w.abs().max()), 1e-12)  # the end is what the figure is about; starts lie further out
    inside = start.abs() <= reach
    grid = torch.linspace(-reach, reach, 401, dtype=w.dtype)
    data = {
        "w": w,
        "norm": norm(run.final),
        "start_w": start[inside],
        "start_norm": norm(run.initial)[inside],
        "grid": grid,
        "minimum": functions.weight_decay(grid),
    }
    return [("fibre", data)], (
        "Every coefficient ends on the curve of the smallest squared norm that its fibre allows; in w this is the "
        "penalty that weight decay stands for."
    )


def _of_group(details: dict[str, Any]) -> Drawing:
    if "penalty" not in details:
        return [], ""
    reach = 1.05 * float(max(details["penalty"].max(), details["start_penalty"].max()))
    grid = np.linspace(0.0, reach, 2)
    data = {
        "w": details["penalty"],
        "norm": details["norm"],
        "start_w": details["start_penalty"],
        "start_norm": details["start_norm"],
        "grid": grid,
        "minimum": grid,
        "label": "derived minimum on the orbit, R(θ)",
        "count": "replicas",
        "xlabel": "R(θ), the smallest squared norm on the orbit",
        "ylabel": "squared norm of the parameters",
        "title": "Weight decay ends at the smallest norm on each orbit",
    }
    return [("fibre", data)], (
        "Every replica ends on the line where its squared norm is the smallest on its orbit; starts lie above it."
    )
