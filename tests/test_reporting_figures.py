"""Figures: drawn from what was saved, repeatable, legible."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest
import torch
from figure_cases import ATTENTION, SQUARE, gaps, node, sample
from hypothesis import given, settings
from hypothesis import strategies as hs
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patches import FancyBboxPatch
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from numeric.errors import CheckError, StoreError
from numeric.reporting import (
    FIGURES,
    draw_figure,
    load_figure_data,
    provenance,
    save_figure_data,
    write_figure,
)
from numeric.reporting.graph_layout import layout
from numeric.reporting.style import style


def texts(figure: Any) -> list[tuple[str, Bbox]]:
    """(text, box in pixels) of everything written on the drawn figure."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    undrawn = [label for axes in figure.axes for label in labels_beyond_the_limits(axes)]
    return [
        (artist.get_text(), artist.get_window_extent(renderer))
        for artist in figure.findobj(Text)
        if artist.get_visible() and artist.get_text().strip() and artist not in undrawn
    ]


def labels_beyond_the_limits(axes: Axes) -> list[Text]:
    """Labels of ticks outside the limits, which exist without being drawn."""
    labels = []
    for axis in (axes.xaxis, axes.yaxis):
        low, high = sorted(axis.get_view_interval())
        ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
        labels += [t for tick in ticks if not low <= tick.get_loc() <= high for t in (tick.label1, tick.label2)]
    return labels


ALONE = {"series": {"patches, ResNet, cross-entropy": gaps(1.0)}, "title": "One network"}
CASES = [(kind, sample(kind)) for kind in FIGURES] + [("graph", SQUARE | {"title": ATTENTION["title"]}), ("gap", ALONE)]


@pytest.mark.parametrize(("kind", "data"), CASES)
def test_no_labels_overlap_or_leave_the_figure(kind: str, data: dict[str, Any]) -> None:
    with style():
        figure = FIGURES[kind](data)
        written = texts(figure)
    page = figure.bbox.padded(1)
    assert len(written) > 3
    for text, box in written:
        assert page.contains(box.x0, box.y0) and page.contains(box.x1, box.y1), text
    for (one, a), (two, b) in itertools.combinations(written, 2):
        assert not a.padded(-0.5).overlaps(b.padded(-0.5)), (one, two)


@pytest.mark.parametrize("kind", FIGURES)
def test_title_and_axes_say_what_is_shown(kind: str) -> None:
    with style():
        figure = FIGURES[kind](sample(kind))
    words = " ".join(artist.get_text() for artist in figure.findobj(Text)).replace("\n", " ")
    assert sample(kind)["title"] in words
    if kind != "graph":
        for axes in figure.axes:
            assert axes.get_xlabel() or axes.get_shared_x_axes().get_siblings(axes) != [axes]
        assert "dimensionless" in words or "units" in words or "per unit" in words


def test_node_labels_fit_into_their_boxes() -> None:
    with style():
        figure = FIGURES["graph"](ATTENTION)
        written = dict(texts(figure))
    boxes = [patch.get_window_extent() for patch in figure.findobj(FancyBboxPatch)]
    for a, b in itertools.combinations(boxes[:15], 2):
        assert not a.overlaps(b)
    for label in ("W_query", "d_head × d_model", "softmax(axis = 1)", "d_model × tokens"):
        held = [box for box in boxes if box.x0 < written[label].x0 and written[label].x1 < box.x1]
        assert any(box.y0 < written[label].y0 and written[label].y1 < box.y1 for box in held), label


def test_parallel_edges_and_scalars_are_labelled() -> None:
    with style():
        words = [text for text, _ in texts(FIGURES["graph"](SQUARE))]
    assert "×2" in words
    assert "scalar" in words


@hs.composite
def graphs(draw: hs.DrawFn) -> tuple[list[str], list[tuple[str, str]]]:
    """Random acyclic graphs with up to 15 nodes, in an order unrelated to their direction."""
    size = draw(hs.integers(1, 15))
    pairs = [(f"n{i}", f"n{j}") for i in range(size) for j in range(i + 1, size)]
    edges = draw(hs.lists(hs.sampled_from(pairs), max_size=2 * size)) if pairs else []
    return draw(hs.permutations([f"n{i}" for i in range(size)])), edges


@given(graphs())
@settings(max_examples=100, deadline=None, derandomize=True)
def test_layout_of_any_graph(graph: tuple[list[str], list[tuple[str, str]]]) -> None:
    nodes, edges = graph
    plan = layout(nodes, edges)
    oracle = nx.DiGraph(edges)
    oracle.add_nodes_from(nodes)
    longest = dict.fromkeys(nodes, 0)
    for n in reversed(list(nx.topological_sort(oracle))):
        longest[n] = max((longest[s] + 1 for s in oracle.successors(n)), default=0)
    assert plan.layer == {n: max(longest.values()) - longest[n] for n in nodes}
    for a, b in itertools.combinations(nodes, 2):
        if plan.layer[a] == plan.layer[b]:
            assert abs(plan.height[a] - plan.height[b]) > 1 - 1e-9
    for edge, route in plan.routes.items():
        assert [layer for layer, _ in route] == list(range(plan.layer[edge[0]], plan.layer[edge[1]] + 1))
        for layer, height in route[1:-1]:  # an edge passes a node at least half its room and some more away
            near = [abs(height - plan.height[n]) for n in nodes if plan.layer[n] == layer]
            assert min(near, default=1.0) > 0.8 - 1e-9


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"nodes": [], "edges": []}, "no nodes"),
        ({"nodes": [node("u", "weight")], "edges": []}, "kind 'weight'"),
        ({"nodes": [node("u", "input"), node("u", "input")], "edges": []}, "same id"),
        ({"nodes": [node("u", "input")], "edges": [["u", "v"]]}, "'v'"),
        ({"nodes": [node("u", "input"), node("v", "output")], "edges": [["u", "v"], ["v", "u"]]}, "cycle"),
    ],
)
def test_bad_graph_records_are_named(record: dict[str, Any], words: str) -> None:
    with pytest.raises(CheckError, match=words):
        FIGURES["graph"](record)


def test_density_panels_share_their_axes_and_count_what_they_leave_out() -> None:
    data = sample("density") | {"grid": np.linspace(0.5, 2, 100)}
    with style():
        figure = FIGURES["density"](data)
    assert len({axes.get_xlim() + axes.get_ylim() for axes in figure.axes}) == 1
    for axes, samples in zip(figure.axes, data["samples"], strict=True):
        outside = int(((samples < 0.5) | (samples > 2)).sum())
        assert f"{outside} outside" in axes.get_title(loc="left")


def test_density_shapes_must_fit() -> None:
    with pytest.raises(CheckError, match="do not fit"):
        FIGURES["density"](sample("density") | {"grid": np.linspace(0, 2, 99)})


def test_residual_keeps_the_largest_of_every_group() -> None:
    residual = np.full(5001, 1e-16)
    residual[1234] = 1e-3
    data = {"steps": np.arange(5001), "residual": {"run": residual}, "tolerance": 1e-10}
    with style():
        figure = FIGURES["residual"](data)
    assert max(np.nanmax(line.get_ydata()) for line in figure.axes[0].lines) == 1e-3


def test_convergence_states_the_fitted_slope() -> None:
    eta = np.array([0.01, 0.02, 0.04])
    with style():
        figure = FIGURES["convergence"]({"eta": eta, "deviation": {"run": eta**1.5}, "expected_slope": 1.0})
    assert any("run: slope 1.500" in text for text, _ in texts(figure))
    with pytest.raises(CheckError, match="nothing to draw"):
        FIGURES["convergence"]({"eta": eta, "deviation": {"run": 0 * eta}, "expected_slope": 1.0})


@pytest.mark.parametrize("kind", FIGURES)
def test_figures_come_from_the_saved_data(kind: str, tmp_path: Path) -> None:
    first = write_figure(kind, sample(kind), tmp_path / "a").read_bytes()
    assert first.startswith(b"<?xml") and b"</svg>" in first
    assert write_figure(kind, sample(kind), tmp_path / "b").read_bytes() == first
    config = json.loads((tmp_path / "a" / "config.json").read_text(encoding="utf-8"))
    config["data"]["title"] = "Another title"
    (tmp_path / "a" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert draw_figure(tmp_path / "a").read_bytes() != first
    assert set(config["provenance"]) == set(provenance())
    assert sorted(path.name for path in (tmp_path / "b").iterdir()) == [
        "config.json",
        "data.safetensors",
        "figure.svg",
    ]


def test_data_come_back_as_they_were_saved(tmp_path: Path) -> None:
    data = {"z": torch.arange(3.0), "curves": {"b": np.ones((2, 2)), "a": np.zeros(1)}, "title": "η", "slope": 1.5}
    kind, loaded = load_figure_data(save_figure_data("convergence", data, tmp_path))
    assert kind == "convergence"
    assert (loaded["title"], loaded["slope"], list(loaded["curves"])) == ("η", 1.5, ["b", "a"])
    np.testing.assert_array_equal(loaded["curves"]["b"], np.ones((2, 2)))
    np.testing.assert_array_equal(loaded["z"], [0.0, 1.0, 2.0])


def test_unusable_data_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckError, match="no figure of kind"):
        write_figure("pie", {}, tmp_path)
    with pytest.raises(CheckError, match="'a/b'"):
        save_figure_data("residual", {"a/b": np.ones(1)}, tmp_path)
    with pytest.raises(CheckError, match="cannot"):
        save_figure_data("residual", {"a": object()}, tmp_path)
    assert not list(tmp_path.iterdir())
    with pytest.raises(StoreError, match="no readable figure data"):
        draw_figure(tmp_path)
    save_figure_data("residual", sample("residual"), tmp_path)
    (tmp_path / "data.safetensors").write_bytes(b"damaged")
    with pytest.raises(StoreError, match="no readable figure data"):
        draw_figure(tmp_path)


def test_commit_is_a_hash_or_unknown() -> None:
    commit = provenance()["commit"]
    assert commit is None or len(commit.removesuffix("-dirty")) == 40


def test_extrapolation_states_the_intercept_of_the_weighted_fit() -> None:
    with style():
        figure = FIGURES["extrapolation"](sample("extrapolation"))
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert any(label.startswith("variance: 1.0000 ± ") for label in labels)


def test_extrapolation_needs_two_values_of_eta() -> None:
    data = {"eta": [0.1], "ratio": {"variance": [1.0]}, "error": {"variance": [0.1]}}
    with pytest.raises(CheckError, match="two values"):
        FIGURES["extrapolation"](data)
