"""A matrix of rank correlations, as a coloured table with numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from numeric.reporting.style import INK, new_figure, wrapped

INCH = 0.42  # width and height of one entry
DARK = 0.6  # |τ| from which the number stands in white


def draw_correlations(data: Mapping[str, Any]) -> Figure:
    """Draw {"names": K labels, "matrix": (K, K) in −1 to 1, "title", "label"}; the lower triangle with its diagonal.

    Purple is negative and orange positive, and every entry says its number; NaN stays empty. label: what they are.
    """
    names, matrix = list(data["names"]), np.asarray(data["matrix"], dtype=np.float64)
    side = INCH * len(names)
    figure = new_figure(max(side + 2.4, 5.0), max(side + 2.8, 4.0))
    axes = figure.add_subplot()
    shown = np.where(np.tri(len(names), dtype=bool), matrix, np.nan)
    axes.imshow(shown, cmap="PuOr_r", vmin=-1, vmax=1)
    for row, column in zip(*np.where(np.isfinite(shown)), strict=True):
        value = shown[row, column]
        colour = "white" if abs(value) > DARK else INK
        axes.text(column, row, f"{value:+.2f}".replace("-", "−"), ha="center", va="center", fontsize=6, color=colour)
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set_xlabel(data.get("label", "number and colour: Kendall's τ (dimensionless)"))
    figure.suptitle(wrapped(data.get("title", ""), figure), fontsize=10)
    return figure
