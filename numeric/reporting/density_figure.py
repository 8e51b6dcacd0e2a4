"""Replicas against a derived density, one panel per eta on the same axes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from numeric.errors import CheckError
from numeric.reporting.style import COLOURS, new_figure, wrapped

BINS = 60


def draw_density(data: Mapping[str, Any]) -> Figure:
    """Draw {"eta": (k,), "samples": (k, R), "grid": (G,), "density": (k, G), "title", "xlabel", "notes": [k
    texts]}.

    samples: replicas at every eta; density: the derived density on the grid, per unit of w. All panels share
    bins and axes; bins span the grid, and what lies outside is counted in the panel. title, xlabel and notes
    (a short line per panel, such as the goodness of fit) are optional. CheckError when the shapes do not
    belong together.
    """
    eta = np.asarray(data["eta"], dtype=np.float64)
    samples, density = np.atleast_2d(data["samples"]), np.atleast_2d(data["density"])
    grid = np.asarray(data["grid"], dtype=np.float64)
    if len(samples) != len(eta) or density.shape != (len(eta), len(grid)):
        raise CheckError(
            f"{len(eta)} values of eta, samples {samples.shape}, density {density.shape} and grid "
            f"{grid.shape} do not fit"
        )
    notes = data.get("notes", [""] * len(eta))
    figure = new_figure(2.6 * len(eta) + 0.6, 3.1)
    panels = np.atleast_1d(figure.subplots(1, len(eta), sharex=True, sharey=True))
    edges = np.linspace(grid[0], grid[-1], BINS + 1)
    for k, axes in enumerate(panels):
        counts, _ = np.histogram(samples[k], bins=edges)
        heights = counts / (samples.shape[1] * np.diff(edges))
        axes.stairs(heights, edges, fill=True, color=COLOURS[5], alpha=0.6, label=f"{samples.shape[1]:,} replicas")
        axes.plot(grid, density[k], color=COLOURS[1], label="derived density")
        outside = samples.shape[1] - int(counts.sum())
        lines = [f"η = {eta[k]:.3g}", notes[k], f"{outside} outside the axes" if outside else ""]
        axes.set_title("\n".join(line for line in lines if line), fontsize=8.5)
        axes.set_xlabel(data.get("xlabel", "w (dimensionless)"))
    panels[0].set_ylabel("probability density (per unit of w)")
    panels[0].set_xlim(grid[0], grid[-1])
    panels[0].set_ylim(bottom=0)
    title = data.get("title", "Replicas at the end of training against the derived density")
    figure.suptitle(wrapped(title, figure), fontsize=10)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    return figure
