"""A ratio along eigendirections against step size times curvature, with the curve that was derived."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from numeric.reporting.style import COLOURS, GREY, MARKERS, legend_below, new_figure, wrapped


def draw_curvature(data: Mapping[str, Any]) -> Figure:
    """Draw {"series": {label: {"x", "ratio", "error", "predicted"}}, "title", "xlabel", "ylabel"}.

    x: η times curvature, (m,); ratio: measured variance over that of continuous time, with its standard error;
    predicted: the derived value. All dimensionless.
    """
    figure = new_figure(5.6, 3.8)
    axes = figure.add_subplot()
    for index, (label, entry) in enumerate(data["series"].items()):
        order = np.argsort(entry["x"])
        x, ratio, error, predicted = (np.asarray(entry[key])[order] for key in ("x", "ratio", "error", "predicted"))
        colour = COLOURS[index % len(COLOURS)]
        axes.errorbar(
            x,
            ratio,
            yerr=error,
            color=colour,
            marker=MARKERS[index % len(MARKERS)],
            markersize=4,
            linestyle="none",
            capsize=2,
            label=f"measured, {label}",
        )
        axes.plot(x, predicted, color=colour, linewidth=1, label=f"derived at a finite step, {label}")
    axes.axhline(1.0, color=GREY, linestyle="--", linewidth=1, label="continuous time")
    axes.set_xlim(left=0)
    axes.set_xlabel(data.get("xlabel", "step size times curvature ηh (dimensionless)"))
    axes.set_ylabel(data.get("ylabel", "variance over that of continuous time"))
    axes.set_title(wrapped(data.get("title", "Stationary variance along the eigenvectors of the Hessian"), figure))
    legend_below(axes)
    return figure
