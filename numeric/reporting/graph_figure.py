"""The computation graph of a parametrization, drawn from its record."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Patch
from matplotlib.path import Path
from matplotlib.textpath import TextPath

from numeric.errors import CheckError
from numeric.reporting.graph_layout import GraphLayout, layout
from numeric.reporting.style import GREY, INK, new_figure

# Outline and dash differ as well as colour.
KINDS: dict[str, dict[str, Any]] = {
    "parameter": {"facecolor": "#d6e8f5", "edgecolor": "#0072B2", "linewidth": 1.2, "linestyle": "-"},
    "input": {"facecolor": "#d5efe6", "edgecolor": "#009E73", "linewidth": 1.2, "linestyle": "--"},
    "constant": {"facecolor": "#eeeeee", "edgecolor": "#666666", "linewidth": 1.2, "linestyle": ":"},
    "operation": {"facecolor": "#ffffff", "edgecolor": "#1a1a1a", "linewidth": 0.9, "linestyle": "-"},
    "output": {"facecolor": "#fde3d3", "edgecolor": "#D55E00", "linewidth": 2.2, "linestyle": "-"},
}
LABEL_SIZE, SHAPE_SIZE = 10.0, 7.5
# Lengths in points (1/72 inch).
BOX, LEAST, PADDING, COLUMN_GAP, ROW, MARGIN = 32.0, 34.0, 9.0, 42.0, 46.0, 10.0
LEGEND, LEGEND_ENTRY = 26.0, 68.0


def draw_graph(data: Mapping[str, Any]) -> Figure:
    """Draw {"nodes": [{"id", "label", "kind", "shape"}], "edges": [[source, target]], "title"}.

    kind: parameter, input, constant, operation or output; shape: text or a list of sizes; title: optional.
    Arrows run from left to right; parallel edges are drawn once with their number. CheckError for an unknown
    kind, an empty graph, a cycle or an edge to a missing node.
    """
    nodes = {str(node["id"]): node for node in data["nodes"]}
    if not nodes:
        raise CheckError("the graph record lists no nodes; give at least one")
    for node in nodes.values():
        if node["kind"] not in KINDS:
            raise CheckError(f"node {node['id']!r} has kind {node['kind']!r}; known are {', '.join(KINDS)}")
    edges = [(str(source), str(target)) for source, target in data["edges"]]
    plan = layout([str(node["id"]) for node in data["nodes"]], edges)
    widths = {key: _box_width(node) for key, node in nodes.items()}
    centres, total = _columns(plan, widths)
    lows = [height for route in plan.routes.values() for _, height in route] + list(plan.height.values())
    bottom, top = min(lows) * ROW - BOX / 2 - MARGIN, max(lows) * ROW + BOX / 2 + MARGIN
    title = data.get("title")
    kinds = [kind for kind in KINDS if any(node["kind"] == kind for node in nodes.values())]
    width = max(total, LEGEND_ENTRY * len(kinds), _text_width(title or "", LABEL_SIZE) + 2 * MARGIN)
    height = top - bottom + LEGEND + (18.0 if title else 0.0)
    figure = new_figure(width / 72, height / 72)
    figure.set_layout_engine("none")
    axes = figure.add_axes((0.0, LEGEND / height, 1.0, (top - bottom) / height))
    axes.set(xlim=((total - width) / 2, (total + width) / 2), ylim=(top, bottom))  # the first node of a column on top
    axes.axis("off")
    for edge in plan.routes:
        _draw_edge(axes, plan, edge, centres, widths)
    for key, node in nodes.items():
        _draw_node(axes, node, centres[plan.layer[key]], plan.height[key] * ROW, widths[key])
    _draw_legend(figure, kinds)
    if title:
        figure.text(0.5, 1 - 4 / height, title, ha="center", va="top", fontsize=10, parse_math=False)
    return figure


def _shape_text(node: Mapping[str, Any]) -> str:
    shape = node.get("shape", "")
    if isinstance(shape, str):
        return shape
    return " × ".join(str(size) for size in shape) if shape else "scalar"


def _text_width(text: str, size: float) -> float:
    if not text.strip():
        return 0.0
    return float(TextPath((0, 0), text.replace("$", r"\$"), size=size).get_extents().width)


def _box_width(node: Mapping[str, Any]) -> float:
    widest = max(_text_width(str(node["label"]), LABEL_SIZE), _text_width(_shape_text(node), SHAPE_SIZE))
    return max(widest + 2 * PADDING, LEAST)


def _columns(plan: GraphLayout, widths: Mapping[str, float]) -> tuple[list[float], float]:
    """Centre of every column and the total width, in points."""
    centres, right = [], MARGIN
    for column in range(max(plan.layer.values()) + 1):
        width = max(widths[key] for key, place in plan.layer.items() if place == column)
        centres.append(right + width / 2)
        right += width + COLUMN_GAP
    return centres, right - COLUMN_GAP + MARGIN


def _draw_node(axes: Axes, node: Mapping[str, Any], x: float, y: float, width: float) -> None:
    rounding = 3.0 if node["kind"] in ("parameter", "input", "constant") else BOX / 2 - 1
    box = FancyBboxPatch(
        (x - width / 2, y - BOX / 2),
        width,
        BOX,
        boxstyle=f"round,pad=0,rounding_size={rounding}",
        **KINDS[node["kind"]],
    )
    axes.add_patch(box)
    shape = _shape_text(node)
    label: dict[str, Any] = {"ha": "center", "parse_math": False}
    axes.text(x, y - (4.5 if shape else 0), str(node["label"]), va="center", fontsize=LABEL_SIZE, **label)
    axes.text(x, y + 8.5, shape, va="center", fontsize=SHAPE_SIZE, color=GREY, **label)


def _draw_edge(
    axes: Axes,
    plan: GraphLayout,
    edge: tuple[str, str],
    centres: list[float],
    widths: Mapping[str, float],
) -> None:
    points = [(centres[layer], height * ROW) for layer, height in plan.routes[edge]]
    points[0] = (points[0][0] + widths[edge[0]] / 2, points[0][1])
    points[-1] = (points[-1][0] - widths[edge[1]] / 2, points[-1][1])
    vertices, codes = [points[0]], [Path.MOVETO]
    for (x0, y0), (x1, y1) in pairwise(points):
        middle = (x0 + x1) / 2
        vertices += [(middle, y0), (middle, y1), (x1, y1)]
        codes += [Path.CURVE4] * 3
    arrow = FancyArrowPatch(
        path=Path(vertices, codes), arrowstyle="-|>", mutation_scale=9, color=INK, linewidth=0.9, zorder=1
    )
    axes.add_patch(arrow)
    count = plan.multiplicity[edge]
    if count > 1:
        (x0, y0), (x1, y1) = points[-2:]
        place = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
        axes.text(
            (x0 + x1) / 2,
            (y0 + y1) / 2,
            f"×{count}",
            ha="center",
            va="center",
            fontsize=SHAPE_SIZE,
            bbox=place,
        )


def _draw_legend(figure: Figure, kinds: list[str]) -> None:
    handles = [Patch(label=kind, **KINDS[kind]) for kind in kinds]
    figure.legend(
        handles=handles,
        loc="lower center",
        ncols=len(handles),
        fontsize=7,
        borderaxespad=0.3,
        columnspacing=0.9,
        handlelength=1.5,
        handletextpad=0.4,
    )
