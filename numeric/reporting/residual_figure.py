"""The residual of an exact law over the steps of a run, beside the tolerance fixed beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from numeric.reporting.style import COLOURS, GREY, MARKERS, legend_below, new_figure, wrapped

MOST_POINTS = 400  # longer runs are drawn as the largest residual in each of this many groups


def draw_residual(data: Mapping[str, Any]) -> Figure:
    """Draw {"steps": (T,), "residual": {label: (T,)}, "tolerance": float, "title", "xlabel", "ylabel"}.

    residuals: relative, dimensionless; exact zeros cannot be shown on the logarithmic axis and are left out,
    as are NaN. In long runs every point is the largest residual of its group, so that no violation is
    hidden. Text keys are optional.
    """
    steps = np.asarray(data["steps"], dtype=np.float64)
    tolerance = float(data["tolerance"])
    figure = new_figure(6.4, 3.2)
    axes = figure.add_subplot()
    for k, (label, values) in enumerate(data["residual"].items()):
        x, largest, size = _envelope(steps, np.abs(np.asarray(values, dtype=np.float64)))
        text = label if size == 1 else f"{label} (largest of every {size} steps)"
        axes.plot(
            x,
            np.where(largest > 0, largest, np.nan),
            linestyle="none",
            marker=MARKERS[k % len(MARKERS)],
            markersize=2,
            color=COLOURS[k % len(COLOURS)],
            label=text,
        )
    axes.axhline(tolerance, color=GREY, linestyle="--", linewidth=1, label=f"tolerance {tolerance:g}")
    axes.set_yscale("log")
    axes.set_xlabel(data.get("xlabel", "training step"))
    axes.set_ylabel(data.get("ylabel", "relative residual (dimensionless)"))
    axes.set_title(wrapped(data.get("title", "Residual of the exact law on every step"), figure))
    legend_below(axes, columns=1)
    return figure


def _envelope(steps: np.ndarray, residual: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """(steps, largest residual of each group, group size)."""
    size = -(-len(steps) // MOST_POINTS) or 1
    starts = np.arange(0, len(steps), size)
    return steps[starts], np.fmax.reduceat(residual, starts), size
