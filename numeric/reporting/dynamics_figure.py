"""A run at the edge of stability beside what was predicted of it: x, y, curvatures, and how far off predictions are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from numeric.reporting.style import GREY, INK, RULE, line_style, new_figure, wrapped

LEGEND: dict[str, Any] = {"frameon": True, "facecolor": "white", "edgecolor": "none", "framealpha": 0.8}
MARGIN = 0.15  # of the range of the run, on either side of it


def draw_dynamics(data: Mapping[str, Any]) -> Figure:
    """Draw {"steps": (T,), "edge", "x": {label: (T,)}, "y": {label: (T,)}, "curvatures": {label: (T,)}, "distance":
    (T,), "error": {label: (T,)}, "title"}.

    The first label in x and y is the run, drawn broad behind the others; x without the sign that it changes at every
    step. Where a prediction leaves the range of the run it is cut off. "error" has the labels of the predictions; what
    is zero or not finite is left out.
    """
    steps = np.asarray(data["steps"], dtype=np.float64)
    figure = new_figure(7.2, 5.2)
    (top_left, top_right), (bottom_left, bottom_right) = figure.subplots(2, 2, sharex=True)
    sign = np.where(steps % 2 == 0, 1.0, -1.0)
    _compare(top_left, steps, {label: sign * np.asarray(values) for label, values in data["x"].items()})
    top_left.set_ylabel("(−1)ᵗ x (units of θ)")
    _compare(top_right, steps, data["y"])
    top_right.axhline(0.0, color=GREY, linewidth=0.8)
    top_right.set_ylabel("y (units of η⁻¹)")
    for k, (label, values) in enumerate(data["curvatures"].items()):
        style = line_style(k + 2) | ({"linestyle": "-", "linewidth": 2.5} if k == 0 else {})
        bottom_left.plot(steps, np.asarray(values, dtype=np.float64), label=label, **style)
    bottom_left.axhline(float(data["edge"]), color=INK, linestyle="--", linewidth=0.8, label="edge")
    bottom_left.set_ylabel("curvature at θ† (units of η⁻¹)")
    bottom_left.legend(**LEGEND)
    bottom_right.plot(steps, _positive(data["distance"]), color=INK, linewidth=2.5, alpha=0.35, label="‖θ − θ†‖")
    for k, (label, values) in enumerate(data["error"].items()):
        bottom_right.plot(steps, _positive(values), label=f"error, {label}", **line_style(k))
    _as_logarithms(bottom_right, data)
    bottom_right.set_ylabel("distance (units of θ)")
    bottom_right.legend(**LEGEND)
    for axes in (bottom_left, bottom_right):
        axes.set_xlabel("training step")
    figure.suptitle(wrapped(data.get("title", "Predicted dynamics"), figure), x=0.01, ha="left", fontsize=10)
    handles, labels = top_left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def _compare(axes: Axes, steps: np.ndarray, series: Mapping[str, Any]) -> None:
    """The run broad and grey, the predictions over it."""
    arrays = {label: np.asarray(values, dtype=np.float64) for label, values in series.items()}
    run, *rest = arrays.items()
    axes.plot(steps, run[1], color=INK, linewidth=3.5, alpha=0.25, label=run[0])
    for k, (label, values) in enumerate(rest):
        axes.plot(
            steps, np.where(np.isfinite(values), values, np.nan), label=label, **line_style(k) | {"linewidth": 1.1}
        )
    seen = run[1][np.isfinite(run[1])]
    if len(seen):
        space = MARGIN * float(np.ptp(seen)) or 1.0
        axes.set_ylim(seen.min() - space, seen.max() + space)


def _positive(values: Any) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    return np.where(np.isfinite(array) & (array > 0), array, np.nan)


def _as_logarithms(axes: Axes, data: Mapping[str, Any]) -> None:
    """Up to ten times the largest distance: a prediction that has gone would flatten all else."""
    distance = _positive(data["distance"])
    if not np.isfinite(distance).any():
        return
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.set_ylim(low, min(high, 10 * np.nanmax(distance)))
    axes.grid(which="minor", color=RULE, linewidth=0.3)
