"""The sharpness gap of many runs against the batch size, a panel for each network, with its forecasts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from numeric.reporting.style import COLOURS, INK, legend_below, new_figure, wrapped

COLUMNS = 3
LEAST_WIDTH = 4.4  # inches, of the legend
LEVEL = 1.96  # standard errors in half a 95 % interval
# Name in the data → (label, colour, dash, marker); hollow markers, so that a run that agrees is seen through them.
FORECASTS = {
    "leading": ("forecast, leading order", COLOURS[0], "--", "s"),
    "corrected": ("forecast, corrected", COLOURS[1], "-.", "^"),
}


def draw_gap(data: Mapping[str, Any]) -> Figure:
    """Draw {"series": {label: {"inverse_batch", "gap", "error", "leading", "corrected", "edge": (k,)}}, "fits": {label:
    {"slope", "half_width", "log_factor"}}, "title"}.

    Gaps as parts of the edge against 1/b, both logarithmic, with 95 % intervals, forecasts, and the fitted powers with
    the 95 % intervals of their exponents. Gaps and forecasts that are not positive are left out, and the count of such
    gaps is said. "fits" may lack a label.
    """
    count = max(len(data["series"]), 1)
    columns = min(COLUMNS, count)
    rows = -(-count // columns)
    figure = new_figure(max(2.1 * columns + 1.1, LEAST_WIDTH), 2.0 * rows + 1.3)
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axes in panels[count:]:
        axes.remove()
    for axes, (label, series) in zip(panels, data["series"].items(), strict=False):
        _panel(axes, label, series, data.get("fits", {}).get(label))
    for k, axes in enumerate(panels[:count]):
        # The panel below may have been removed: then this one carries the numbers.
        axes.tick_params(labelbottom=k + columns >= count)
        if k + columns >= count:
            axes.set_xlabel("1/b")
        if k % columns == 0:
            axes.set_ylabel("gap / edge\n(dimensionless)")
    if data.get("fits"):
        panels[0].plot([], [], color=INK, linewidth=0.8, label="fitted power of 1/b")
    figure.suptitle(wrapped(data.get("title", "Sharpness gap"), figure), fontsize=10)
    legend_below(panels[0], columns=2)
    return figure


def _panel(axes: Axes, label: str, series: Mapping[str, Any], fit: Mapping[str, float] | None) -> None:
    arrays = {name: np.asarray(values, dtype=np.float64) for name, values in series.items()}
    x, edge = arrays["inverse_batch"], arrays["edge"]
    for name, (words, colour, dash, marker) in FORECASTS.items():
        shown = np.where(arrays[name] > 0, arrays[name] / edge, np.nan)
        axes.plot(
            x, shown, color=colour, linestyle=dash, marker=marker, markerfacecolor="none", linewidth=1, label=words
        )
    above = arrays["gap"] > 0
    gap, width = arrays["gap"][above] / edge[above], LEVEL * arrays["error"][above] / edge[above]
    bars = np.stack([np.minimum(width, 0.9 * gap), width])
    look: dict[str, Any] = {
        "color": INK,
        "marker": "o",
        "markersize": 4,
        "linestyle": "none",
        "capsize": 2,
        "elinewidth": 1,
    }
    axes.errorbar(x[above], gap, yerr=bars, label="measured, 95 %", zorder=3, **look)
    title = label
    if fit is not None and above.any():
        ends = np.array([x[above].min(), x[above].max()])
        power = np.exp(fit["log_factor"]) * ends ** fit["slope"] / edge[above].mean()
        axes.plot(ends, power, color=INK, linewidth=0.8)
        title += f"\nexponent {fit['slope']:.2f} ± {fit['half_width']:.2f}"
    if not above.all():
        title += f"\n{(~above).sum()} not above zero"
    axes.set_title(title, fontsize=8)
    axes.set(xscale="log", yscale="log")
    axes.xaxis.set_major_locator(FixedLocator([1 / 128, 1 / 32, 1 / 8]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"1/{1 / value:.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.tick_params(axis="x", labelsize=7)
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
    axes.yaxis.set_major_formatter("{x:.2g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
