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


def node(name: str, kind: str, label: str = "", shape: object = ("d",)) -> dict[str, object]:
    return {"id": name, "label": label or name, "kind": kind, "shape": shape}


ATTENTION = {
    "nodes": [
        node("x", "input", shape=["d_model", "tokens"]),
        *(node(w, "parameter", shape=["d_head", "d_model"]) for w in ("W_query", "W_key", "W_value", "W_out")),
        node("mask", "constant", shape="tokens × tokens"),
        *(node(f"m{k}", "operation", "matmul", ["tokens", "tokens"]) for k in range(5)),
        node("add", "operation"),
        node("soft", "operation", "softmax(axis = 1)"),
        node("out", "operation", "matmul"),
        node("residual", "output", "add"),
    ],
    "edges": [
        *(["x", "m0"], ["x", "m1"], ["x", "m2"], ["W_query", "m0"], ["W_key", "m1"], ["W_value", "m2"]),
        *(["m0", "m3"], ["m1", "m3"], ["m3", "add"], ["mask", "add"], ["add", "soft"], ["soft", "m4"]),
        *(["m2", "m4"], ["m4", "out"], ["W_out", "out"], ["out", "residual"], ["x", "residual"]),
    ],
    "title": "One attention head with its residual connection, drawn from a plain record",
}
SQUARE = {
    "nodes": [node("u", "parameter", shape=[]), node("m", "output", "u * u", "")],
    "edges": [["u", "m"], ["u", "m"]],
}


CASES_OF_GAPS = {
    "digits, tanh, squared": 1.0,
    "patches, CNN, cross-entropy": 0.3,
    "patches, ResNet, squared": 2.0,
    "patches, ResNet, cross-entropy": 3.0,
}


def gaps(scale: float) -> dict[str, Any]:
    return {
        "inverse_batch": 1 / np.array([8.0, 16.0, 32.0, 128.0]),
        "gap": scale * np.array([4.0, 2.1, 1.1, -0.1]),
        "error": np.array([0.3, 0.1, 0.1, 0.1]),
        "leading": scale * np.array([3.9, 2.0, 1.0, 0.2]),
        "leading_error": np.full(4, 0.2),
        "corrected": scale * np.array([4.1, 2.1, 1.1, 0.2]),
        "corrected_error": np.full(4, 0.1),
        "edge": np.full(4, 20.0),
        "holds": np.array([1, 1, 0, 0]),
    }


def sample(kind: str) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    eta, steps = np.array([0.01, 0.02, 0.04]), np.arange(0, 5001)
    long = "A title that says at some length what this figure shows, longer than one line of its width allows"
    return {
        "graph": ATTENTION,
        "convergence": {
            "eta": eta,
            "deviation": {"α = 0.1": 0.3 * eta * (1 + eta), "α = 1": 0.02 * eta},
            "expected_slope": 1.0,
            "title": long,
        },
        "extrapolation": {
            "eta": eta,
            "ratio": {"variance": 1 + eta, "shift of the mean": 1 + 2 * eta},
            "error": {"variance": np.full(3, 0.003), "shift of the mean": np.full(3, 0.01)},
            "title": long,
        },
        "relaxation": {
            "time": {"η = 0.1": eta, "η = 0.05": 2 * eta},
            "measured": {"η = 0.1": eta, "η = 0.05": 2 * eta},
            "error": {"η = 0.1": 0.1 * eta, "η = 0.05": 0.1 * eta},
            "predicted": {"η = 0.1": eta, "η = 0.05": 2 * eta},
            "title": long,
        },
        "edge": {
            "steps": np.arange(40),
            "edge": 20.0,
            "curvatures": {"S": np.linspace(5, 19, 40), "next eigenvalue, at least": np.linspace(4, 12, 40)},
            "noisy": {"batch sharpness": np.r_[np.linspace(4, 18, 39), np.nan]},
            "drift": {"α": np.linspace(0.1, 0.2, 40), "½βx²": np.linspace(0, 0.2, 40)},
            "forecasts": {"forecast, leading order": 18.0, "forecast, corrected": 17.5, "exact identity": 17.8},
            "window": [20, 39],
            "title": long,
        },
        "gap": {
            "series": {name: gaps(scale) for name, scale in CASES_OF_GAPS.items()},
            "fits": {"digits, tanh, squared": {"slope": 1.1, "half_width": 0.2, "log_factor": 3.5}},
            "title": long,
        },
        "collapse": {"series": {name: gaps(scale) for name, scale in CASES_OF_GAPS.items()}, "title": long},
        "dynamics": {
            "steps": np.arange(7, 47),
            "edge": 20.0,
            "x": {
                "run": np.sin(np.arange(40)),
                "reduced": np.r_[np.sin(np.arange(30)), 1e30, np.full(9, np.nan)],
                "cubic": np.sin(np.arange(40)),
            },
            "y": {name: scale * np.linspace(-1, 1, 40) for name, scale in (("run", 1), ("reduced", 2), ("cubic", 1))},
            "curvatures": {"S": np.full(40, 20.0), "next eigenvalue, at least": np.linspace(15, 20, 40)},
            "distance": np.linspace(0.0, 0.1, 40),
            "error": {
                "reduced": np.r_[0.0, np.geomspace(1e-4, 1e30, 30), np.full(9, np.nan)],
                "cubic": np.full(40, 1e-4),
            },
            "title": long,
        },
        "orbit": {
            "conditions": np.array([10.0, 100.0]),
            "panels": {
                kind: {"geodesic, mixed": np.array([1e-7, -2e-7]), "adaptive": np.array([0.2, 4.1])}
                for kind in ("worst case", "average")
            },
            "outputs": np.array([3e-7, 1e-6]),
            "title": long,
        },
        "fibre": {
            "w": np.array([-0.5, 0.0, 0.5]),
            "norm": np.array([1.0, 0.0, 1.0]),
            "start_w": np.array([0.2, 0.3]),
            "start_norm": np.array([1.2, 0.9]),
            "grid": np.linspace(-1, 1, 41),
            "minimum": 2 * np.abs(np.linspace(-1, 1, 41)),
            "title": long,
        },
        "trajectories": {
            "steps": steps[::50],
            "distances": {
                "SGD with label noise": torch.rand(20, 101, generator=torch.Generator().manual_seed(1)),
                "gradient descent": np.exp(-steps[::50] / 900),
            },
            "title": long,
        },
        "density": {
            "eta": eta,
            "samples": rng.gamma(20, 0.05, (3, 5000)),
            "grid": np.linspace(0, 2, 100),
            "density": np.ones((3, 100)) / 2,
            "notes": ["KS distance 0.0312, p = 0.21"] * 3,
            "title": long,
        },
        "coefficients": {
            "reference": rng.standard_normal(55),
            "estimates": {"SGD with label noise": rng.standard_normal(55), "gradient descent": np.zeros(55)},
            "title": long,
        },
        "residual": {
            "steps": steps,
            "residual": {"weight decay 0": np.full(5001, 1e-16), "weight decay 0.01": np.zeros(5001)},
            "tolerance": 1e-10,
            "title": long,
        },
        "curvature": {
            "series": {
                f"μ = {mu:g}": {
                    "x": np.linspace(0.2, 1.5, 12),
                    "ratio": 1 / (1 - np.linspace(0.2, 1.5, 12) / (2 + mu)),
                    "error": np.full(12, 0.05),
                    "predicted": 1 / (1 - np.linspace(0.2, 1.5, 12) / (2 + mu)),
                }
                for mu in (0.0, 0.6)
            },
            "title": long,
        },
        "bands": {
            "x": eta,
            "series": {name: {"middle": eta, "low": eta - 0.1, "high": eta + 0.1} for name in ("adaptive", "geodesic")},
            "title": long,
            "xlabel": "radius of the ball (dimensionless)",
            "ylabel": "Kendall's τ (band: 95 %)",
        },
        "scatter": {
            "panels": {
                f"measure {k}": {"x": rng.gamma(2, 1e-3, 40), "y": rng.gamma(2, 0.1, 40), "label": "τ = −0.31"}
                for k in range(5)
            },
            "groups": ["perceptron", "convolutional"] * 20,
            "title": long,
            "ylabel": "gap in loss (dimensionless)",
            "logarithmic": "both",
        },
        "correlations": {
            "names": [f"worst case, adaptive {k}" for k in range(12)],
            "matrix": np.corrcoef(rng.standard_normal((12, 20))),
            "title": long,
        },
        "intervals": {
            "names": [f"worst case, adaptive {k}" for k in range(12)],
            "series": {
                name: {"middle": np.zeros(12), "low": np.full(12, -0.2), "high": np.full(12, 0.3)}
                for name in ("gap in loss", "gap in error", "test error")
            },
            "title": long,
            "xlabel": "Kendall's τ with 95 % interval (dimensionless)",
        },
    }[kind]


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
