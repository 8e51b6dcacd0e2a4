"""The one look of all figures: for paper, legible in print, distinguishable without colour."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# Okabe and Ito's palette, told apart with every common colour vision; lines differ in dash and marker too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#555555")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (3, 2)), (0, (1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
INK, GREY, RULE = "#1a1a1a", "#666666", "#dddddd"

RC: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "text.color": INK,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.5,
    "lines.markersize": 5,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "savefig.dpi": 200,
    "svg.fonttype": "path",
    # Equal data give equal files.
    "svg.hashsalt": "symtheory",
    "axes.formatter.use_mathtext": True,
}


@contextmanager
def style() -> Iterator[None]:
    """Within, matplotlib draws in the common look; the user's own settings return afterwards."""
    with matplotlib.rc_context(RC):
        yield


def new_figure(width: float = 6.4, height: float = 3.6) -> Figure:
    """An empty figure of width × height inches, without any global state of pyplot."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def line_style(index: int) -> dict[str, Any]:
    """Colour and dash of the index-th series."""
    return {"color": COLOURS[index % len(COLOURS)], "linestyle": DASHES[index % len(DASHES)]}


def wrapped(text: str, figure: Figure) -> str:
    """`text` broken into lines that fit the width of the figure at title size."""
    return textwrap.fill(text, max(int(figure.get_figwidth() * 12), 20))


def legend_below(axes: Axes, columns: int = 2) -> None:
    """The legend under the axes, where it can cover no data."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        axes.figure.legend(handles, labels, loc="outside lower center", ncols=min(columns, len(handles)))
