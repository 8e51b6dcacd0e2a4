"""The sharpness gaps of all networks and batch sizes on one axis, against what the forecasts are made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from numeric.reporting.style import COLOURS, GREY, MARKERS, legend_below, new_figure, wrapped

LEGEND_COLUMNS = 3
LEVEL = 1.96  # standard errors in half a 95 % interval
MARGIN = np.array([0.7, 1.4])  # of both axes below and above the points
XLABELS = {
    "leading": r"$\eta^2\sigma_u^2\beta/8\alpha$ = leading order / edge" "\n(dimensionless)",
    "corrected": "corrected forecast / edge\n(dimensionless)",
}


def draw_collapse(data: Mapping[str, Any]) -> Figure:
    """Draw {"series": {label: {"gap", "error", "leading", "leading_error", "corrected", "corrected_error", "edge",
    "holds": (k,)}}, "title"}.

    Measured gaps over the edge against the leading-order forecast, which is σ_u²β/α up to the step, and against the
    corrected one, all logarithmic, with 95 % intervals both ways and the line of equality. Filled where the forecast
    holds ("holds" is not zero), hollow elsewhere. Gaps and forecasts that are not positive are left out.
    """
    figure = new_figure(7.0, 4.0 + 0.2 * -(-len(data["series"]) // LEGEND_COLUMNS))
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    extremes = []
    for k, (label, series) in enumerate(data["series"].items()):
        arrays = {name: np.asarray(values, dtype=np.float64) for name, values in series.items()}
        marker = MARKERS[(k + k // len(COLOURS)) % len(MARKERS)]
        look: dict[str, Any] = {
            "color": COLOURS[k % len(COLOURS)],
            "marker": marker,
            "markersize": 4.5,
            "linestyle": "none",
        }
        for axes, name in zip(panels, XLABELS, strict=True):
            axes.plot([], [], label=label, **look)
            for holds, face in ((True, look["color"]), (False, "white")):
                shown = (arrays["gap"] > 0) & (arrays[name] > 0) & ((arrays["holds"] != 0) == holds)
                x, y = (arrays[column][shown] / arrays["edge"][shown] for column in (name, "gap"))
                across, up = (arrays[c][shown] / arrays["edge"][shown] for c in (f"{name}_error", "error"))
                bars: dict[str, Any] = {"xerr": _bars(x, across), "yerr": _bars(y, up), "elinewidth": 0.7}
                axes.errorbar(x, y, **bars, markerfacecolor=face, **look)
                extremes += [*x, *y]
    ends = np.array([min(extremes, default=0.01), max(extremes, default=1.0)])
    for axes, label in zip(panels, XLABELS.values(), strict=True):
        equal = "gap = forecast" if axes is panels[1] else None
        axes.plot(ends, ends, color=GREY, linestyle="--", linewidth=1, label=equal, zorder=0)
        axes.set(xscale="log", yscale="log", xlabel=label, xlim=ends * MARGIN, ylim=ends * MARGIN)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
            axis.set_major_formatter("{x:.2g}")
            axis.set_minor_formatter(NullFormatter())
    for face, label in ((GREY, "forecast holds"), ("white", "off or undecided")):
        panels[1].plot(
            [], [], color=GREY, marker="o", markersize=4.5, markerfacecolor=face, linestyle="none", label=label
        )
    handles, labels = panels[1].get_legend_handles_labels()
    panels[1].legend(handles[-3:], labels[-3:], loc="upper left")
    panels[0].set_ylabel("measured gap / edge (dimensionless)")
    figure.suptitle(wrapped(data.get("title", "Sharpness gap and forecast"), figure), fontsize=10)
    legend_below(panels[0], columns=LEGEND_COLUMNS)
    return figure


def _bars(middle: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Lengths down and up, cut where a logarithmic axis has no room for them."""
    return np.stack([np.minimum(LEVEL * error, 0.9 * middle), LEVEL * error])
