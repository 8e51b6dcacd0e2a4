"""Edges that a change of basis travels along, marked in the drawn graph."""

from __future__ import annotations

from typing import Any

import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import FancyArrowPatch

from numeric.errors import CheckError
from numeric.reporting.gauge_figure import LINE_WIDTH, draw_gauge
from numeric.reporting.style import COLOURS

NODES = [
    {"id": "G", "label": "G A⁻¹", "kind": "parameter", "shape": "(n, h)"},
    {"id": "H", "label": "H Aᵀ", "kind": "parameter", "shape": "(m, h)"},
    {"id": "@", "label": "@", "kind": "operation", "shape": "(n, m)"},
    {"id": "w", "label": "w", "kind": "output", "shape": "(n, m)"},
]
EDGES = [["G", "@"], ["H", "@"], ["@", "w"]]


def record(*paths: list[list[str]]) -> dict[str, Any]:
    return {"nodes": NODES, "edges": EDGES, "paths": [{"edges": path} for path in paths]}


def test_marked_edges_have_colour_width_and_label() -> None:
    axes = draw_gauge(record([["G", "@", "A⁻¹"]], [["H", "@", ""]])).axes[0]
    arrows = [patch for patch in axes.patches if isinstance(patch, FancyArrowPatch)]
    marked = {to_hex(arrow.get_edgecolor()): arrow for arrow in arrows if arrow.get_linewidth() == LINE_WIDTH}
    assert list(marked) == [COLOURS[0].lower(), COLOURS[1].lower()]
    assert len(arrows) == len(EDGES)
    texts = [text.get_text() for text in axes.texts]
    assert texts.count("A⁻¹") == 1
    assert "" not in texts


def test_a_label_stands_on_its_edge() -> None:
    axes = draw_gauge(record([["G", "@", "A⁻¹"]])).axes[0]
    (label,) = (text for text in axes.texts if text.get_text() == "A⁻¹")
    places = {text.get_text(): text.get_position() for text in axes.texts}
    assert places["G A⁻¹"][0] < label.get_position()[0] < places["@"][0]


def test_an_edge_that_is_not_there_is_refused() -> None:
    with pytest.raises(CheckError, match="'G' → 'w', which the graph does not have"):
        draw_gauge(record([["G", "w", "A"]]))
