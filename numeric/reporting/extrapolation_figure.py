"""Measured over predicted at several eta, with the line that is extrapolated to eta = 0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from numeric.comparison.least_squares import weighted_least_squares
from numeric.errors import CheckError
from numeric.reporting.style import COLOURS, GREY, MARKERS, legend_below, new_figure, wrapped


def draw_extrapolation(data: Mapping[str, Any]) -> Figure:
    """Draw {"eta": (k,), "ratio": {label: (k,)}, "error": {label: (k,)}, "title", "xlabel", "ylabel",
    "limit"}.

    ratio: measured effect over predicted effect, dimensionless; error: its standard error, positive. The line is the
    weighted least squares fit a + b eta, whose intercept stands in the legend as the value at
    ``limit``. CheckError for fewer than two eta.
    """
    eta = np.asarray(data["eta"], dtype=np.float64)
    if len(eta) < 2:
        raise CheckError("an extrapolation needs at least two values of eta")
    figure = new_figure(5.6, 3.8)
    axes = figure.add_subplot()
    line = np.linspace(0, eta.max(), 50)
    limit = data.get("limit", "η = 0")
    for k, (label, values) in enumerate(data["ratio"].items()):
        ratio = np.asarray(values, dtype=np.float64)
        error = np.asarray(data["error"][label], dtype=np.float64)
        fit = weighted_least_squares(np.vander(eta, 2, increasing=True), ratio, error)
        intercept, slope = fit.coefficients
        colour = COLOURS[k % len(COLOURS)]
        text = f"{label}: {intercept:.4f} ± {fit.standard_errors[0]:.4f} at {limit}"
        axes.errorbar(
            eta,
            ratio,
            yerr=error,
            color=colour,
            marker=MARKERS[k % len(MARKERS)],
            linestyle="none",
            capsize=3,
            label=text,
        )
        axes.plot(line, intercept + slope * line, color=colour, linewidth=1)
    axes.axhline(1.0, color=GREY, linestyle="--", linewidth=1, label="prediction (leading order)")
    axes.set_xlim(left=0)
    axes.set_xlabel(data.get("xlabel", "step size η (dimensionless)"))
    axes.set_ylabel(data.get("ylabel", "measured / predicted (dimensionless)"))
    axes.set_title(wrapped(data.get("title", "Deviation from the leading order shrinks with the step size"), figure))
    legend_below(axes, columns=1)
    return figure
