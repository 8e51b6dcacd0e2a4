"""A computation graph with the edges along which changes of basis travel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

from numeric.errors import CheckError
from numeric.reporting.graph_figure import draw_graph
from numeric.reporting.graph_layout import layout
from numeric.reporting.style import line_style

LINE_WIDTH, LABEL_SIZE = 2.0, 9.0


def draw_gauge(data: Mapping[str, Any]) -> Figure:
    """Draw the record of ``draw_graph`` with "paths": [{"edges": [[source, target, text]]}], one a change of basis.

    Every path has its own colour and dash; text: what acts on the tensor that the edge carries, "" for no label.
    CheckError as in ``draw_graph``, and for an edge of a path that the graph does not have.
    """
    figure = draw_graph(data)
    arrows = _arrows(figure, data)
    for number, path in enumerate(data["paths"]):
        for source, target, text in path["edges"]:
            if (source, target) not in arrows:
                raise CheckError(f"a path names the edge {source!r} → {target!r}, which the graph does not have")
            _mark(figure.axes[0], arrows[source, target], text, number)
    return figure


def _arrows(figure: Figure, data: Mapping[str, Any]) -> dict[tuple[str, str], FancyArrowPatch]:
    """The drawn edges by their ends; ``draw_graph`` draws them in the order of the layout's routes."""
    edges = [(str(source), str(target)) for source, target in data["edges"]]
    routes = layout([str(node["id"]) for node in data["nodes"]], edges).routes
    drawn = [patch for patch in figure.axes[0].patches if isinstance(patch, FancyArrowPatch)]
    return dict(zip(routes, drawn, strict=True))


def _mark(axes: Axes, arrow: FancyArrowPatch, text: str, number: int) -> None:
    style = line_style(number)
    arrow.set(color=style["color"], linewidth=LINE_WIDTH, linestyle=style["linestyle"])
    if text:
        x, y = _middle(arrow)
        place = {"facecolor": "white", "edgecolor": "none", "pad": 1.2}
        label: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": LABEL_SIZE, "parse_math": False}
        axes.text(x, y, text, color=style["color"], weight="bold", bbox=place, **label)


def _middle(arrow: FancyArrowPatch) -> tuple[float, float]:
    """A point a little before the middle of the edge, so that a label hides no arrow head; in units of the axes."""
    curve = np.asarray(arrow.get_path().to_polygons(closed_only=False)[0])
    lengths = np.append(0.0, np.cumsum(np.hypot(*np.diff(curve, axis=0).T)))
    middle = 0.4 * lengths[-1]
    return float(np.interp(middle, lengths, curve[:, 0])), float(np.interp(middle, lengths, curve[:, 1]))
