"""Joint stationary density: moments of coefficients with correlated features as η falls."""

from __future__ import annotations

from typing import Any

from numeric.experiments.experiment import Experiment
from numeric.reporting.mechanisms.drawing import Drawing


def joint_stationary_density(details: dict[str, Any], experiment: Experiment, functions: Any) -> Drawing:
    """Variance and shift of the mean of every coefficient against η; for a matrix, all its ratios."""
    if "singular_values" in details:
        return _matrix(details)
    if "shift_ratio" not in details:
        return [], ""
    ratio, error = {}, {}
    for name, key in (("variance", "variance_ratio"), ("shift of the mean", "shift_ratio")):
        for index in range(len(details["mean"][0])):
            label = f"{name}, w_{index + 1}"
            ratio[label] = [values[index] for values, _ in details[key]]
            error[label] = [errors[index] for _, errors in details[key]]
    data = {
        "eta": details["eta"],
        "ratio": ratio,
        "error": error,
        "title": "Moments of coefficients with correlated features over their predictions",
    }
    return [("extrapolation", data)], (
        "Variance of every coefficient, and shift of its mean from the target, over their predictions; both tend to "
        "one as η falls. The features of the second and the third are correlated, the coefficients are not."
    )


def _matrix(details: dict[str, Any]) -> Drawing:
    names = list(details["ratios"][0])
    data = {
        "eta": details["eta"],
        "ratio": {name: [ratios[name][0] for ratios in details["ratios"]] for name in names},
        "error": {name: [ratios[name][1] for ratios in details["ratios"]] for name in names},
        "title": "Moments of a matrix around its target over their predictions",
    }
    return [("extrapolation", data)], (
        "Variances of the entries between the target's singular vectors, shift of the mean along them, and what the "
        "nuclear norm has beyond it, over their predictions; all tend to one as η falls."
    )
