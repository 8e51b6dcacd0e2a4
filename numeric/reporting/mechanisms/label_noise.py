"""Label noise: the drift along zero loss, or the way to the minimiser of the derived penalty."""

from __future__ import annotations

from typing import Any

import numpy as np

from numeric.experiments.experiment import Experiment
from numeric.reporting.mechanisms.drawing import Drawing


def label_noise(details: dict[str, Any], experiment: Experiment, functions: Any) -> Drawing:
    """Of whole arrays the displacement against η; of coordinates the distance to the minimiser, and where it ends."""
    if "ratio_error" in details:
        ratios = {
            "eta": details["eta"],
            "ratio": {"displacement along zero loss": details["ratio"]},
            "error": {"displacement along zero loss": details["ratio_error"]},
        }
        return [("extrapolation", ratios)], (
            "Mean displacement of the solution along the predicted drift −(η²σ²/4) P ∇T, over the predicted length: it "
            "tends to one as η falls."
        )
    if "distances" not in details:
        return [], ""
    steps = np.asarray(details["steps"])[1:]
    distances = np.asarray(details["distances"])[:, 1:]
    trajectory = {
        "steps": steps,
        "distances": {
            "SGD with label noise": distances,
            "gradient descent, no noise": np.full((1, len(steps)), details["gradient_descent_distance"]),
        },
        "linear_steps": True,
        "ylabel": "relative ℓ1 distance (dimensionless)",
        "title": "Distance of the zero-loss solution from the minimiser of the derived penalty",
    }
    coefficients = {
        "reference": details["reference"],
        "reference_label": "minimiser of the derived penalty subject to Xw = y",
        "estimates": {
            "gradient descent, no noise": details["gradient_descent"],
            "SGD with label noise (mean over replicas)": details["coefficients"],
        },
    }
    return [("trajectories", trajectory), ("coefficients", coefficients)], (
        "With label noise the solution moves to the minimiser of Σ κ_j R(w_j) (basis pursuit where R is proportional "
        "to |w|); without it, gradient descent stays where it ended."
    )
