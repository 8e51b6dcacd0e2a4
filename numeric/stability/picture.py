"""What the figure of a run at the edge is drawn from."""

from __future__ import annotations

from typing import Any

from numeric.stability.answer import Answer
from numeric.stability.edge_run import EdgeRun

NAMES = {"leading": "forecast, leading order", "corrected": "forecast, corrected", "identity": "exact identity"}


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
        if (several := forecast.directions) is not None:
            data["forecasts"][f"{several.size} directions, simulated"] = forecast.edge - several.simulated_gap.value
    return data
