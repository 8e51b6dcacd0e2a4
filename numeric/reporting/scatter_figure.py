"""One quantity of many models against several others, a panel each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from numeric.reporting.style import COLOURS, MARKERS, legend_below, new_figure, wrapped

COLUMNS = 3


def draw_scatter(data: Mapping[str, Any]) -> Figure:
    """Draw {"panels": {name: {"x": (M,), "y": (M,), "label"}}, "groups": (M,) labels, "title", "ylabel"}.

    x and y: one point a model, in the unit that name and ylabel say. label: what the panel shows beside its name.
    logarithmic: "x", "y" or "both" for logarithmic axes, of positive values alone. groups: what a point's colour and
    marker tell, the same for all panels; text keys, groups and logarithmic are optional.
    """
    panels = data["panels"]
    columns = min(COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = new_figure(6.4, 0.8 + 2.0 * rows)
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
        # A narrow panel: two large numbers of a logarithmic axis must not run into each other.
        axes.tick_params(axis="x", which="both", labelsize=6.5)
        axes.set_title("\n".join(text for text in (name, panel.get("label", "")) if text), fontsize=8)
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    figure.supylabel(data.get("ylabel", ""), fontsize=9)
    figure.suptitle(wrapped(data.get("title", ""), figure), fontsize=10)
    if "groups" in data:
        legend_below(grid[0, 0], columns=6)
    return figure
