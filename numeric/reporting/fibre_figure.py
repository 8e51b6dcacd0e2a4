"""Squared parameter norm of each coefficient against the smallest norm on its fibre."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from numeric.reporting.style import COLOURS, GREY, legend_below, new_figure, wrapped


def draw_fibre(data: Mapping[str, Any]) -> Figure:
    """Draw {"w": (m,), "norm": (m,), "start_w": (m,), "start_norm": (m,), "grid": (G,), "minimum": (G,), "title"}.

    w, norm: coefficients and the squared norms of their parameters at the end of training (start_*: before it, may
    be left out); grid, minimum: the derived smallest norm. All dimensionless. "label", "count", "xlabel" and "ylabel"
    may name the curve, what is counted and the axes.
    """
    figure = new_figure(5.6, 3.8)
    axes = figure.add_subplot()
    axes.plot(
        data["grid"],
        data["minimum"],
        color=GREY,
        linewidth=1.2,
        label=data.get("label", "derived minimum of the fibre, R(w)"),
    )
    if "start_w" in data:
        axes.plot(
            np.ravel(data["start_w"]),
            np.ravel(data["start_norm"]),
            linestyle="none",
            marker="x",
            color=COLOURS[1],
            label="before training",
        )
    count = np.size(data["w"])
    axes.plot(
        np.ravel(data["w"]),
        np.ravel(data["norm"]),
        linestyle="none",
        marker="o",
        markersize=4,
        color=COLOURS[0],
        label=f"at the end, {count} {data.get('count', 'coefficients')}",
    )
    axes.set_xlabel(data.get("xlabel", "coefficient w (standardized units)"))
    axes.set_ylabel(data.get("ylabel", "squared norm of its parameters"))
    axes.set_title(wrapped(data.get("title", "Weight decay ends at the smallest norm on each fibre"), figure))
    legend_below(axes, columns=1)
    return figure
