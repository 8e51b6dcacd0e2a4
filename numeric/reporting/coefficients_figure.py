"""Coefficients of a solution beside those of a reference solution, as stems."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from numeric.reporting.style import COLOURS, GREY, MARKERS, legend_below, new_figure, wrapped


def draw_coefficients(data: Mapping[str, Any]) -> Figure:
    """Draw {"reference": (d,), "reference_label", "estimates": {label: (d,)}, "title", "xlabel", "ylabel"}.

    The reference stands as grey bars behind the stems of the estimates, one panel per estimate on the same
    axes. Text keys other than the labels are optional; coefficients carry the unit of the model.
    """
    reference = np.asarray(data["reference"], dtype=np.float64)
    index = np.arange(len(reference))
    estimates = data["estimates"]
    figure = new_figure(6.4, 1.0 + 1.6 * len(estimates))
    panels = np.atleast_1d(figure.subplots(len(estimates), 1, sharex=True, sharey=True))
    label = data.get("reference_label", "reference solution")
    for k, (axes, (name, values)) in enumerate(zip(panels, estimates.items(), strict=True)):
        colour = COLOURS[k % len(COLOURS)]
        axes.bar(index, reference, width=0.9, color="#c4c4c4", label=label if k == 0 else None)
        estimate = np.asarray(values, dtype=np.float64)
        axes.vlines(index, 0, estimate, color=colour, linewidth=0.9)
        axes.plot(
            index,
            estimate,
            linestyle="none",
            marker=MARKERS[k % len(MARKERS)],
            markersize=3,
            color=colour,
        )
        axes.axhline(0, color=GREY, linewidth=0.6)
        axes.set_title(name, fontsize=8.5)
        axes.grid(axis="x", visible=False)
    panels[-1].set_xlabel(data.get("xlabel", "coefficient index"))
    figure.supylabel(data.get("ylabel", "coefficient (standardized units)"), fontsize=9)
    figure.suptitle(wrapped(data.get("title", "Coefficients at the end of training"), figure), fontsize=10)
    legend_below(panels[0], columns=1)
    return figure
