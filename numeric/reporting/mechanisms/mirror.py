"""Mirror: the KKT residual as η falls, and the coefficients beside the minimiser."""

from __future__ import annotations

from typing import Any

from numeric.experiments.experiment import Experiment
from numeric.reporting.mechanisms.drawing import Drawing, Plot

MOVED = {"sgd": (2.0, "minibatch SGD"), "decay": (1.0, "gradient descent with weight decay")}
"""Where the scale of the leaf moves: order of the residual at the scale of the end, and what it is called."""


def mirror(details: dict[str, Any], experiment: Experiment, functions: Any) -> Drawing:
    """KKT residuals against η, also where the scale moves, then the coefficients at the smallest η."""
    if "deviation" not in details:
        return [], ""
    convergence = {
        "eta": details["eta"],
        "deviation": details["deviation"],
        "expected_slope": 1.0,
        "ylabel": "relative KKT residual (dimensionless)",
        "title": "Distance of Q'(w) from the row space of X at the end of gradient descent",
    }
    plots: list[Plot] = [("convergence", convergence)]
    plots += [("convergence", _moved_scale(details[kind], kind)) for kind in MOVED if kind in details]
    if details.get("minimiser"):
        label, minimiser = next(iter(details["minimiser"].items()))
        coefficients = {
            "reference": minimiser,
            "reference_label": "minimiser of the derived potential subject to Xw = y",
            "estimates": {f"gradient descent, {label}, smallest step": details["coefficients"][label]},
        }
        plots.append(("coefficients", coefficients))
    return plots, (
        "The KKT residual of the end point falls in proportion to the step size, for each start scale α; where the "
        "scale moves during training, at the scale of the end and not at that of the start; last, the coefficients "
        "beside the independently computed minimiser."
    )


def _moved_scale(found: dict[str, Any], kind: str) -> dict[str, Any]:
    slope, training = MOVED[kind]
    return {
        **found,
        "expected_slope": slope,
        "ylabel": "relative KKT residual (dimensionless)",
        "title": f"Distance of Q'(w) from the row space of X at the end of {training}",
    }
