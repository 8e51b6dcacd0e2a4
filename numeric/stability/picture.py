"""What the figures of a run at the edge are drawn from."""

from __future__ import annotations

import math
from typing import Any

import torch

from numeric.stability.answer import Answer
from numeric.stability.edge_run import EdgeRun
from numeric.stability.predicted import Predicted

NAMES = {"leading": "forecast, leading order", "corrected": "forecast, corrected", "identity": "exact identity"}
PREDICTIONS = {"reduced": "predicted, along u alone", "cubic": "predicted, cubic loss of the batch"}


def edge_picture(run: EdgeRun, found: Answer | None = None, title: str = "") -> dict[str, Any]:
    """The data of a figure of kind "edge" (numeric.reporting.figures): without an answer, without forecasts."""
    records = run.records
    data: dict[str, Any] = {
        "steps": run.steps,
        "edge": run.edge,
        "curvatures": {"S": records["floor_sharpness"], "next eigenvalue, at least": records["second"]},
        "noisy": {"batch sharpness": records["ratio_of_means"]},
        "drift": {"α": records["alpha"], "½βx²": records["beta"] * records["position"].square() / 2},
        "title": title or "Sharpness at the edge of stability",
    }
    if found is not None and found.outcome != "not at the edge":
        forecast = found.forecast
        data["window"] = [forecast.first, forecast.last]
        data["forecasts"] = {
            NAMES[name]: forecast.edge - estimate.value for name, estimate in forecast.forecasts.items()
        }
        several = forecast.directions
        if several is not None and math.isfinite(several.simulated_gap.value):
            data["forecasts"][f"{several.size} directions, simulated"] = forecast.edge - several.simulated_gap.value
    return data


def dynamics_picture(found: Predicted, title: str = "") -> dict[str, Any]:
    """The data of a figure of kind "dynamics"."""
    models = {PREDICTIONS[name]: track for name, track in found.models.items()}
    tracks = {"run": found.run} | models
    return {
        "steps": torch.arange(found.first, found.first + len(found.distance)),
        "edge": found.edge,
        "x": {name: track.x for name, track in tracks.items()},
        "y": {name: track.y for name, track in tracks.items()},
        "curvatures": {"S": found.sharpness, "next eigenvalue, at least": found.second},
        "distance": found.distance,
        "error": {name: track.error for name, track in models.items()},
        "title": title or "Run and predicted dynamics around the constrained trajectory",
    }
