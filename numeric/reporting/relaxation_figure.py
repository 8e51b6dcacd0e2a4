"""How far a quantity has gone to its equilibrium: the mean over replicas beside the predicted path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from numeric.errors import CheckError
from numeric.reporting.style import COLOURS, GREY, INK, MARKERS, legend_below, new_figure, wrapped

POINTS = 24
"""Measured points drawn for one label; more would hide the line."""


def draw_relaxation(data: Mapping[str, Any]) -> Figure:
    """Draw {"time": {label: (T,)}, "measured": {label: (T,)}, "error": {label: (T,)}, "predicted": {label: (T,)},
    "title", "xlabel", "ylabel"}.

    measured: part of the way, 0 at the start and 1 in equilibrium, with standard errors; predicted: the same of the
    derived path, one dashed line for each label. Text keys are optional. CheckError when there is nothing to draw.
    """
    if not data["measured"]:
        raise CheckError("a relaxation needs at least one run")
    figure = new_figure(5.6, 3.8)
    axes = figure.add_subplot()
    for k, (label, values) in enumerate(data["measured"].items()):
        time, measured, error, predicted = (
            np.asarray(part, dtype=np.float64)
            for part in (data["time"][label], values, data["error"][label], data["predicted"][label])
        )
        every = slice(k, None, max(1, len(time) // POINTS))
        axes.errorbar(
            time[every],
            measured[every],
            yerr=error[every],
            color=COLOURS[k % len(COLOURS)],
            marker=MARKERS[k % len(MARKERS)],
            markersize=3,
            linestyle="none",
            capsize=0,
            label=label,
        )
        axes.plot(time, predicted, color=INK, linewidth=1, linestyle="--", label="predicted" if k == 0 else None)
    axes.axhline(1.0, color=GREY, linestyle=":", linewidth=1)
    axes.set_xlabel(data.get("xlabel", "training step times predicted rate (dimensionless)"))
    axes.set_ylabel(data.get("ylabel", "part of the way to the equilibrium"))
    axes.set_title(wrapped(data.get("title", "Relaxation to the equilibrium"), figure))
    legend_below(axes, columns=2)
    return figure
