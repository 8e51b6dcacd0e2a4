"""The sharpness gap of many runs: against the batch size, and against its forecasts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from numeric.reporting.style import COLOURS, GREY, MARKERS, legend_below, new_figure, wrapped


def draw_gap(data: Mapping[str, Any]) -> Figure:
    """Draw {"series": {label: {"inverse_batch", "gap", "error", "leading", "corrected": (k,)}}, "fits": {label:
    {"slope", "half_width", "log_factor"}}, "title"}.

    Left: gap against 1/b, both logarithmic, with the fitted powers and the 95 % intervals of their exponents. Right:
    gap against the forecasts, leading order filled and corrected hollow, with the line of equality. Gaps and forecasts
    that are not positive are left out. "fits" may lack a label.
    """
    figure = new_figure(7.2, 4.2)
    left, right = figure.subplots(1, 2)
    for k, (label, series) in enumerate(data["series"].items()):
        arrays = {name: np.asarray(values, dtype=np.float64) for name, values in series.items()}
        shown = (arrays["gap"] > 0) & (arrays["leading"] > 0)
        x, gap, error = (arrays[name][shown] for name in ("inverse_batch", "gap", "error"))
        bars = np.stack([np.minimum(error, 0.9 * gap), error])
        look = {"color": COLOURS[k % len(COLOURS)], "marker": MARKERS[k % len(MARKERS)], "linestyle": "none"}
        left.errorbar(x, gap, yerr=bars, capsize=2, label=_label(label, data.get("fits", {}).get(label)), **look)
        if label in data.get("fits", {}) and len(x):
            fit = data["fits"][label]
            ends = np.array([x.min(), x.max()])
            left.plot(ends, np.exp(fit["log_factor"]) * ends ** fit["slope"], color=look["color"], linewidth=1)
        right.errorbar(arrays["leading"][shown], gap, yerr=bars, capsize=2, **look)
        right.plot(arrays["corrected"][shown], gap, markerfacecolor="none", **look)
    values = np.concatenate([np.ravel(s[name]) for s in data["series"].values() for name in ("gap", "leading")])
    line = np.array([values[values > 0].min(), values.max()]) if (values > 0).any() else np.ones(2)
    right.plot(line, line, color=GREY, linestyle="--", linewidth=1, label="gap = forecast")
    right.plot([], [], color=GREY, marker="o", linestyle="none", label="leading order")
    right.plot([], [], color=GREY, marker="o", markerfacecolor="none", linestyle="none", label="corrected")
    for axes, xlabel in ((left, "1/b"), (right, "forecast of the gap")):
        axes.set(xscale="log", yscale="log", xlabel=xlabel)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
            axis.set_major_formatter("{x:.2g}")
            axis.set_minor_formatter(NullFormatter())
    left.set_ylabel("gap 2/η − S (units of η⁻¹)")
    left.set_title(wrapped(data.get("title", "Sharpness gap"), figure))
    right.legend()
    legend_below(left, columns=2)
    return figure


def _label(label: str, fit: Mapping[str, float] | None) -> str:
    if fit is None:
        return label
    return f"{label}: exponent {fit['slope']:.2f} ± {fit['half_width']:.2f}"
