"""Quantities with intervals along one setting: lines and bands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from numeric.reporting.style import COLOURS, GREY, MARKERS, legend_below, line_style, new_figure, wrapped


def draw_bands(data: Mapping[str, Any]) -> Figure:
    """Draw {"x": (T,), "series": {label: {"middle", "low", "high"}, each (T,)}, "title", "xlabel", "ylabel"}.

    x: positive, on a logarithmic axis. A line marks zero. Text keys are optional.
    """
    x = np.asarray(data["x"], dtype=np.float64)
    figure = new_figure(6.4, 4.2)
    axes = figure.add_subplot()
    axes.axhline(0, color=GREY, linewidth=0.8)
    for k, (label, series) in enumerate(data["series"].items()):
        low, high, middle = (np.asarray(series[key], dtype=np.float64) for key in ("low", "high", "middle"))
        axes.fill_between(x, low, high, color=COLOURS[k % len(COLOURS)], alpha=0.15, linewidth=0)
        axes.plot(x, middle, marker=MARKERS[k % len(MARKERS)], markersize=4, label=label, **line_style(k))
    axes.set_xscale("log")
    axes.set_xlabel(data.get("xlabel", "dimensionless"))
    axes.set_ylabel(data.get("ylabel", "dimensionless"))
    axes.set_title(wrapped(data.get("title", ""), figure))
    legend_below(axes, columns=2)
    return figure
