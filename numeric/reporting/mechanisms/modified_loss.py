"""Modified loss: the end of gradient descent as η falls, and what an epoch adds."""

from __future__ import annotations

from typing import Any

from numeric.experiments.experiment import Experiment
from numeric.reporting.mechanisms.drawing import Drawing


def modified_loss(details: dict[str, Any], experiment: Experiment, functions: Any) -> Drawing:
    """Distances of the end point against η, then what an epoch adds against η."""
    if "deviation" not in details:
        return [], ""
    convergence = {
        "eta": details["eta"],
        "deviation": details["deviation"],
        "expected_slope": 2.0,
        "ylabel": "distance of the end point (dimensionless)",
        "title": "Gradient descent against the flow of L, of the modified loss, and with the next term",
    }
    extrapolation = {
        "eta": details["epoch_eta"],
        "ratio": details["ratio"],
        "error": details["error"],
        "title": "What one epoch adds to the flow of L on average, over what its modified loss adds",
    }
    return [("convergence", convergence), ("extrapolation", extrapolation)], (
        "The end point of gradient descent leaves the flow of L by order η, that of L + (η/4)‖∇L‖² by order η²; the "
        "mean of a shuffled epoch follows L + (η/4)E‖∇L_B‖², that of independent batches L + (η/4)‖∇L‖²."
    )
