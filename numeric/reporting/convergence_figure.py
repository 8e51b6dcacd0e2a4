"""How a deviation vanishes with eta: log-log, with the fitted slope and the expected one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from numeric.comparison.least_squares import straight_line
from numeric.errors import CheckError
from numeric.reporting.style import COLOURS, GREY, MARKERS, legend_below, new_figure, wrapped


def draw_convergence(data: Mapping[str, Any]) -> Figure:
    """Draw {"eta": (k,), "deviation": {label: (k,)}, "expected_slope": float, "title", "xlabel", "ylabel"}.

    eta and deviations are positive (zeros and NaN are left out); three or more points get a fitted slope,
    which the legend states. The last three keys are optional text. CheckError when nothing positive is left.
    """
    eta = np.asarray(data["eta"], dtype=np.float64)
    slope = float(data["expected_slope"])
    figure = new_figure(5.6, 4.0)
    axes = figure.add_subplot()
    lowest = []
    for k, (label, values) in enumerate(data["deviation"].items()):
        deviation = np.asarray(values, dtype=np.float64)
        good = np.isfinite(deviation) & (deviation > 0) & (eta > 0)
        if not good.any():
            continue
        lowest.append(deviation[good][np.argmin(eta[good])])
        colour, x = COLOURS[k % len(COLOURS)], eta[good]
        text = label
        if good.sum() >= 3:
            fitted, intercept, error = straight_line(np.log(x), np.log(deviation[good]))
            text = f"{label}: slope {fitted:.3f} ± {error:.3f}"
            axes.plot(x, np.exp(intercept + fitted * np.log(x)), color=colour, linewidth=1)
        axes.plot(x, deviation[good], color=colour, marker=MARKERS[k % len(MARKERS)], linestyle="none", label=text)
    if not lowest:
        raise CheckError("no deviation is positive and finite, so there is nothing to draw on logarithmic axes")
    ends = np.array([eta[eta > 0].min(), eta.max()])
    reference = 0.6 * min(lowest) * (ends / ends[0]) ** slope
    axes.plot(ends, reference, color=GREY, linestyle="--", linewidth=1, label=f"expected slope {slope:g}")
    axes.set(xscale="log", yscale="log")
    axes.set_xticks(np.unique(eta[eta > 0]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(data.get("xlabel", "step size η (dimensionless)"))
    axes.set_ylabel(data.get("ylabel", "deviation (dimensionless)"))
    axes.set_title(wrapped(data.get("title", "Deviation from the prediction against the step size"), figure))
    legend_below(axes, columns=1)
    return figure
