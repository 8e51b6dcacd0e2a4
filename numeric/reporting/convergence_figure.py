"""How a deviation vanishes with eta: log-log, with the fitted slope and the expected one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
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
    slope = float(data["expected_slope"])
    figure = new_figure(5.6, 4.0)
    axes = figure.add_subplot()
    drawn: list[tuple[np.ndarray, np.ndarray]] = []
    for k, (label, values) in enumerate(data["deviation"].items()):
        eta, deviation = np.asarray(data["eta"], dtype=np.float64), np.asarray(values, dtype=np.float64)
        good = np.isfinite(deviation) & (deviation > 0) & (eta > 0)
        if not good.any():
            continue
        drawn.append((eta[good], deviation[good]))
        text = _draw_series(axes, *drawn[-1], label, k)
        # Later series are open and larger, so that equal deviations are seen to be two.
        axes.plot(
            *drawn[-1],
            color=COLOURS[k % len(COLOURS)],
            marker=MARKERS[k % len(MARKERS)],
            markersize=5 + 3 * k,
            fillstyle="none" if k else "full",
            linestyle="none",
            label=text,
        )
    if not drawn:
        raise CheckError("no deviation is positive and finite, so there is nothing to draw on logarithmic axes")
    etas = np.unique(np.concatenate([eta for eta, _ in drawn]))
    ends = np.array([etas[0], etas[-1]])
    anchors = [deviation[np.argmin(eta)] * (etas[0] / eta.min()) ** slope for eta, deviation in drawn]
    reference = 0.6 * min(anchors) * (ends / ends[0]) ** slope
    axes.plot(ends, reference, color=GREY, linestyle="--", linewidth=1, label=f"expected slope {slope:g}")
    axes.set(xscale="log", yscale="log")
    axes.set_xticks(etas)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(data.get("xlabel", "step size η (dimensionless)"))
    axes.set_ylabel(data.get("ylabel", "deviation (dimensionless)"))
    axes.set_title(wrapped(data.get("title", "Deviation from the prediction against the step size"), figure))
    legend_below(axes, columns=1)
    return figure


def _draw_series(axes: Axes, eta: np.ndarray, deviation: np.ndarray, label: str, k: int) -> str:
    """The fitted line of three or more points; returns the label, with its slope."""
    if len(eta) < 3:
        return label
    fitted, intercept, error = straight_line(np.log(eta), np.log(deviation))
    axes.plot(eta, np.exp(intercept + fitted * np.log(eta)), color=COLOURS[k % len(COLOURS)], linewidth=1)
    return f"{label}: slope {fitted:.3f} ± {error:.1g}"
