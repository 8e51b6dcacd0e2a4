"""Covariance at a finite step: variance along every eigenvector of the Hessian."""

from __future__ import annotations

from typing import Any

import numpy as np

from numeric.experiments.experiment import Experiment
from numeric.reporting.mechanisms.drawing import Drawing


def finite_step_covariance(details: dict[str, Any], experiment: Experiment, functions: Any) -> Drawing:
    """Variance over that of continuous time against η times the curvature, one series for each momentum."""
    if "continuous" not in details:
        return [], ""
    series: dict[str, dict[str, list[np.ndarray]]] = {}
    columns = ("eta", "curvatures", "ratio", "ratio_error", "continuous", "momentum")
    for eta, curvatures, ratio, error, continuous, momentum in zip(*(details[key] for key in columns), strict=True):
        rival = np.asarray(continuous) / np.asarray(ratio)  # predicted here over predicted in continuous time
        entry = series.setdefault(f"μ = {momentum:g}", {"x": [], "ratio": [], "error": [], "predicted": []})
        for key, values in (
            ("x", eta * np.asarray(curvatures)),
            ("ratio", np.asarray(continuous)),
            ("error", np.asarray(error) * rival),
            ("predicted", rival),
        ):
            entry[key].append(values)
    joined = {label: {key: np.concatenate(arrays) for key, arrays in entry.items()} for label, entry in series.items()}
    return [("curvature", {"series": joined})], (
        "Variance of the parameters along the eigenvectors of the Hessian over that of a diffusion in continuous time, "
        "which is the dashed line; the points of the derived law at a finite step lie on the curves."
    )
