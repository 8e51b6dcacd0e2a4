"""Estimates with intervals by name, as points with bars, one row each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from numeric.reporting.style import COLOURS, GREY, MARKERS, legend_below, new_figure, wrapped

SHIFT = 0.2  # between the series of one row


def draw_intervals(data: Mapping[str, Any]) -> Figure:
    """Draw {"names": K labels, "series": {label: {"middle", "low", "high"}, each (K,)}, "title", "xlabel"}.

    All series have one number a row, NaN where there is none; a line marks zero. Text keys are optional.
    """
    names = list(data["names"])
    figure = new_figure(6.4, 1.4 + 0.36 * len(names))
    axes = figure.add_subplot()
    axes.axvline(0, color=GREY, linewidth=0.8)
    rows = np.arange(len(names), dtype=np.float64)
    for k, (label, series) in enumerate(data["series"].items()):
        low, high, middle = (np.asarray(series[key], dtype=np.float64) for key in ("low", "high", "middle"))
        place = rows + SHIFT * (k - (len(data["series"]) - 1) / 2)
        colour = COLOURS[k % len(COLOURS)]
        axes.hlines(place, low, high, color=colour, linewidth=1.2)
        axes.plot(
            middle, place, linestyle="none", marker=MARKERS[k % len(MARKERS)], markersize=4, color=colour, label=label
        )
    axes.set_yticks(rows, names, fontsize=7.5)
    axes.invert_yaxis()
    axes.set_xlabel(data.get("xlabel", "dimensionless"))
    figure.suptitle(wrapped(data.get("title", ""), figure), fontsize=10)
    legend_below(axes, columns=3)
    return figure
