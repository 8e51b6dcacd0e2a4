"""Distance against training step for several methods, with the spread over replicas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from numeric.reporting.style import legend_below, line_style, new_figure, wrapped

LOW, HIGH = 0.1, 0.9  # quantiles of the band


def draw_trajectories(data: Mapping[str, Any]) -> Figure:
    """Draw {"steps": (T,), "distances": {label: (T,) or (R, T)}, "title", "xlabel", "ylabel",
    "linear_steps"}.

    Replicas (R, T) are drawn as median and band of the middle 80 %. Both axes are logarithmic (steps
    linearly with "linear_steps": true); step 0 and distances that are not positive are left out. Text keys
    are optional.
    """
    steps = np.asarray(data["steps"], dtype=np.float64)
    linear = bool(data.get("linear_steps", False))
    shown = steps >= 0 if linear else steps > 0
    figure = new_figure()
    axes = figure.add_subplot()
    for k, (label, values) in enumerate(data["distances"].items()):
        array = np.atleast_2d(np.asarray(values, dtype=np.float64))[:, shown]
        array = np.where(array > 0, array, np.nan)
        text = label if len(array) == 1 else f"{label} (median of {len(array)}, band: middle 80 %)"
        defined = np.isfinite(array).all(axis=0)
        x, rows = steps[shown][defined], array[:, defined]
        axes.plot(x, np.median(rows, axis=0), label=text, **line_style(k))
        if len(array) > 1:
            low, high = np.quantile(rows, [LOW, HIGH], axis=0)
            axes.fill_between(x, low, high, color=line_style(k)["color"], alpha=0.2, linewidth=0)
    axes.set(xscale="linear" if linear else "log", yscale="log")
    axes.set_xlabel(data.get("xlabel", "training step"))
    axes.set_ylabel(data.get("ylabel", "distance (dimensionless)"))
    axes.set_title(wrapped(data.get("title", "Distance to the predicted end point"), figure))
    legend_below(axes, columns=1)
    return figure
