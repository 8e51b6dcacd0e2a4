"""A run at the edge of stability: sharpness and batch sharpness beside the edge and the forecast, and the balance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from numeric.reporting.style import COLOURS, GREY, legend_below, line_style, new_figure, wrapped

SMOOTHED = 15  # measurements in a running mean


def draw_edge(data: Mapping[str, Any]) -> Figure:
    """Draw {"steps": (T,), "edge", "curvatures": {label: (T,)}, "noisy": {label: (T,)}, "drift": {label: (T,)},
    "forecasts": {label: sharpness}, "window": (first, last), "title"}.

    curvatures are drawn as they are, those in "noisy" and "drift" as running means. forecasts are levels over the
    window. "drift", what moves the sharpness, has a panel of its own. All but "steps", "edge" and "curvatures" may be
    left out.
    """
    steps = np.asarray(data["steps"], dtype=np.float64)
    drift = data.get("drift", {})
    figure = new_figure(6.4, 5.0 if drift else 3.6)
    panels = figure.subplots(2 if drift else 1, 1, sharex=True, squeeze=False)[:, 0]
    axes = panels[0]
    axes.axhline(float(data["edge"]), color=GREY, linestyle="--", linewidth=1, label="edge")
    kinds = (("curvatures", 1), ("noisy", SMOOTHED))
    lines = [(label, values, width) for key, width in kinds for label, values in data.get(key, {}).items()]
    for k, (label, values, width) in enumerate(lines):
        axes.plot(steps, running_mean(values, width), label=label, **line_style(k))
    for k, (label, level) in enumerate(data.get("forecasts", {}).items(), len(lines)):
        style = line_style(k) | {"linewidth": 2.5}
        axes.plot(data["window"], [level, level], label=label, **style)
    axes.set_ylabel("curvature (units of η⁻¹)")
    axes.set_title(wrapped(data.get("title", "Sharpness at the edge of stability"), figure))
    for k, (label, values) in enumerate(drift.items()):
        style = line_style(k) | {"color": COLOURS[(k + 4) % len(COLOURS)]}
        panels[1].plot(steps, running_mean(values, SMOOTHED), label=label, **style)
    if drift:
        panels[1].axhline(0.0, color=GREY, linewidth=0.8)
        panels[1].set_ylabel("drift of S (units of η⁻²)")
        panels[1].legend()
    panels[-1].set_xlabel("training step")
    legend_below(axes, columns=2)
    return figure


def running_mean(values: Any, width: int) -> np.ndarray:
    """Means over `width` neighbours, over fewer at the ends and where values are missing."""
    array = np.asarray(values, dtype=np.float64)
    there = np.isfinite(array)
    kernel = np.ones(min(width, max(len(array), 1)))
    sums = np.convolve(np.where(there, array, 0.0), kernel, "same")
    counts = np.convolve(there.astype(np.float64), kernel, "same")
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
