"""How measures move along an orbit, where the model's function stays the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from numeric.errors import CheckError
from numeric.reporting.style import MARKERS, line_style, new_figure, wrapped

TOLERANCE = 0.01  # a change by 1 % counts as none, as in numeric.sharpness


def draw_orbit(data: Mapping[str, Any]) -> Figure:
    """Draw every measure's |change| relative to its value at the given point, against the condition number.

    data: {"title", "conditions": array (k,), "panels": {panel: {measure: array (k,) of relative changes}}, "outputs":
    array (k,), the relative change of the model's outputs, drawn in every panel}. All dimensionless, on logarithmic
    axes; changes below 1e-7 are drawn there. CheckError for no panel or arrays of unequal length.
    """
    conditions, panels = np.asarray(data["conditions"]), data["panels"]
    if not panels or any(len(v) != len(conditions) for panel in panels.values() for v in panel.values()):
        raise CheckError("an orbit figure needs a panel, and one change for every condition number")
    figure = new_figure(7.2, 3.8)
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for place, (name, measures) in enumerate(panels.items()):
        for number, (measure, changes) in enumerate(measures.items()):
            shown = np.maximum(np.abs(np.asarray(changes)), 1e-7)
            axes[place].plot(conditions, shown, marker=MARKERS[number], label=measure, **line_style(number))
        outputs = np.maximum(np.asarray(data["outputs"]), 1e-7)
        axes[place].plot(conditions, outputs, color="#888888", linewidth=1, label="the model's outputs")
        axes[place].axhline(TOLERANCE, color="#333333", linewidth=0.8, linestyle=(0, (1, 2)))
        axes[place].set(xscale="log", yscale="log", title=name, xlabel="condition of the group element")
        axes[place].set_xticks(conditions, [f"{c:g}" for c in conditions])
        axes[place].xaxis.set_minor_formatter(NullFormatter())
    axes[0].annotate("1 %", (conditions[0], TOLERANCE), textcoords="offset points", xytext=(0, 3), fontsize=8)
    axes[0].set_ylabel("relative change (dimensionless)")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    figure.suptitle(wrapped(str(data["title"]), figure), fontsize=10)
    return figure
