"""One quantity of many models against several others, a panel each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib import ticker
from matplotlib.axis import Axis
from matplotlib.figure import Figure

from numeric.reporting.style import COLOURS, MARKERS, legend_below, new_figure, wrapped

COLUMNS = 3
MOST_TICKS = 3


def draw_scatter(data: Mapping[str, Any]) -> Figure:
    """Draw {"panels": {name: {"x": (M,), "y": (M,), "label"}}, "groups": (M,) labels, "title", "ylabel"}.

    x and y: one point a model, in the unit that name and ylabel say. label: what stands over the panel.
    logarithmic: "x", "y" or "both" for logarithmic axes, of positive values alone. groups: what a point's colour and
    marker tell, the same for all panels; text keys, groups and logarithmic are optional.
    """
    panels = data["panels"]
    columns = min(COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = new_figure(6.4, 0.8 + 2.1 * rows)
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
    scale = data.get("logarithmic", "")
    for axes, (name, panel) in zip(grid.flat, panels.items(), strict=False):
        x, y = (np.asarray(panel[key], dtype=np.float64) for key in ("x", "y"))
        groups = np.asarray(data.get("groups", [""] * len(x)))
        for k, group in enumerate(sorted(set(groups.tolist()))):
            here = groups == group
            style: Any = {"color": COLOURS[k % len(COLOURS)], "marker": MARKERS[k % len(MARKERS)]}
            axes.plot(x[here], y[here], linestyle="none", markersize=3.5, alpha=0.8, label=str(group), **style)
        if scale in ("x", "both"):
            axes.set_xscale("log")
        if scale in ("y", "both"):
            axes.set_yscale("log")
        _few_ticks(axes.xaxis, x, scale in ("x", "both"))
        _few_ticks(axes.yaxis, y, scale in ("y", "both"))
        axes.set_xlabel(name, fontsize=7.5)
        axes.set_title(panel.get("label", ""), fontsize=8)
    for axes in grid.flat[len(panels) :]:
        axes.remove()
    figure.supylabel(data.get("ylabel", "dimensionless"), fontsize=9)
    figure.suptitle(wrapped(data.get("title", ""), figure), fontsize=10)
    if "groups" in data:
        legend_below(grid[0, 0], columns=6)
    return figure


def _few_ticks(axis: Axis, values: np.ndarray, logarithmic: bool) -> None:
    """Few ticks with short labels, as the panels are narrow."""
    if not logarithmic:
        axis.set_major_locator(ticker.MaxNLocator(3))
        axis.set_major_formatter(ticker.StrMethodFormatter("{x:g}"))
        return
    axis.set_minor_locator(ticker.NullLocator())
    positive = values[np.isfinite(values) & (values > 0)]
    low, high = float(positive.min()), float(positive.max())
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if len(decades) <= 3 else (1,)
    inside = [tick for k in decades for m in steps if low <= (tick := m * 10.0**k) <= high]
    if len(inside) < 2:  # a narrow range: as on a linear axis
        inside = [tick for tick in ticker.MaxNLocator(2).tick_values(low, high) if low <= tick <= high] or [low]
    axis.set_major_locator(ticker.FixedLocator(inside[:: math.ceil(len(inside) / MOST_TICKS)]))
    axis.set_major_formatter(ticker.StrMethodFormatter("{x:.4g}"))
