"""The figures of the page about symmetries, drawn from declared graphs: ``python docs/draw_symmetry.py``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import symtheory as st
from numeric.reporting.gauge_figure import draw_gauge
from numeric.reporting.style import COLOURS, GREY, INK, new_figure, style
from symtheory.description import graph_record
from symtheory.graph.axis_refinement import AxisRefinement
from symtheory.symmetry.edge_group import EdgeGroup
from symtheory.symmetry.factor import Factor
from symtheory.symmetry.rescaling import Rescaling

STATIC = Path(__file__).parent / "_static"
# Text stays text, so that it can be selected and searched.
TEXT: Any = {"svg.fonttype": "none", "font.family": "sans-serif"}
SUPERSCRIPTS = {"**(-1)": "⁻¹", ".T": "ᵀ", "*": " "}


def main() -> None:
    """Draw every figure into docs/_static."""
    for name, draw in {
        "symmetry_product": product,
        "symmetry_relu": relu,
        "symmetry_attention": attention,
        "symmetry_orbit": orbit,
    }.items():
        with style(), matplotlib.rc_context(TEXT):
            draw().savefig(STATIC / f"{name}.svg", metadata={"Date": None})


def product() -> Figure:
    """G Hᵀ after a change of basis on the inner edge."""
    n, m, h = st.dims("n m h")
    G, H = st.param("G", n, h), st.param("H", m, h)
    P = st.Parametrization(G @ H.T, name="low_rank")
    return gauge(P, {"matmul_1": "G Hᵀ"}, {"A": {"G": "A⁻¹", "H": "A", "transpose_1": "A"}})


def relu() -> Figure:
    """V relu(W x) after positive factors on the hidden units."""
    d, h, k = st.dims("d h k")
    x = st.input("x", d)
    W, V = st.param("W", h, d), st.param("V", k, h)
    P = st.Parametrization(V @ st.relu(W @ x), name="shallow_relu")
    return gauge(P, {}, {"A": {"W": "A⁻¹", "matmul_1": "A⁻¹", "relu_1": "A⁻¹", "V": "A"}})


def attention() -> Figure:
    """One head of attention with a change of basis between queries and keys, and one between values and output."""
    n, d, h = st.dims("n d h")
    X = st.input("X", n, d)
    Wq, Wk, Wv, Wo = st.param("Wq", d, h), st.param("Wk", d, h), st.param("Wv", d, h), st.param("Wo", h, d)
    Q, K, V = X @ Wq, X @ Wk, X @ Wv
    P = st.Parametrization(st.softmax(Q @ K.T) @ V @ Wo, name="head")
    names = {"matmul_1": "Q", "matmul_2": "K", "matmul_3": "Q Kᵀ", "matmul_4": "V", "matmul_6": "output"}
    scores = {"Wq": "A⁻¹", "matmul_1": "A⁻¹", "Wk": "A", "matmul_2": "A"}
    values = {"Wv": "B⁻¹", "matmul_4": "B⁻¹", "matmul_5": "B⁻¹", "Wo": "B"}
    return gauge(P, names, {"A": scores, "B": values}, hidden=("transpose_1", "w"))


def gauge(
    P: st.Parametrization,
    names: Mapping[str, str],
    acting: Mapping[str, Mapping[str, str]],
    hidden: Sequence[str] = (),
) -> Figure:
    """The graph of P after one element of every factor of its group, with the edges that its index runs along.

    names: node → label, where the operation's own is not wanted; acting: for every factor the letter of the element →
    node → what acts on its value; hidden: nodes that are left out, their edges joined.
    """
    record = graph_record(P)
    labels = dict(names)
    edges = joined(record["edges"], hidden)
    paths = []
    for (letter, texts), factor in zip(acting.items(), P.symmetries(), strict=True):
        labels |= moved(factor, letter)
        along = index_nodes(P, factor)
        paths.append({"edges": [[source, target, texts[source]] for source, target in edges if source in along]})
    nodes = [{**node, "label": labels.get(node["id"], node["label"])} for node in record["nodes"]]
    shown = [node for node in nodes if node["id"] not in hidden]
    if "w" in hidden:
        shown[-1]["kind"] = "output"
    return draw_gauge({"nodes": shown, "edges": edges, "paths": paths})


def joined(edges: Sequence[Sequence[str]], hidden: Sequence[str]) -> list[tuple[str, str]]:
    """The edges of a graph without some nodes that have one operand each."""
    origin = {target: source for source, target in edges if target in hidden}
    return [(origin.get(source, source), target) for source, target in edges if target not in hidden]


def moved(factor: Factor, letter: str) -> dict[str, str]:
    """Parameter → what becomes of it, as text."""
    after = factor.act(factor.element, {name: factor.symbol(name) for name in factor.shapes})
    texts = {name: str(value).replace("A", letter) for name, value in after.items()}
    for written, shown in SUPERSCRIPTS.items():
        texts = {name: text.replace(written, shown) for name, text in texts.items()}
    return texts


def index_nodes(P: st.Parametrization, factor: Factor) -> set[str]:
    """The nodes whose values have the index that the factor acts on."""
    indices = AxisRefinement(P).indices
    assert isinstance(factor, EdgeGroup | Rescaling)
    site = factor.sites[0]
    (first,) = (node for node in P.nodes if P.identifier(node) == site.parameter)
    index = indices[first][site.copies[0] if site.place is None else site.place]
    return {P.identifier(node) for node in P.nodes if index in indices[node]}


def orbit() -> Figure:
    """w = u v in the plane of (u, v): orbits, gradient flow towards w = 1, and the balanced point."""
    u, v = st.param("u"), st.param("v")
    factor = st.Parametrization(u * v, name="product").symmetries()["rescaling"]
    figure = new_figure(6.0, 4.0)
    axes = figure.subplots()
    axes.set(xlim=(0, 3), ylim=(0, 2.4), xlabel="u", ylabel="v", aspect="equal")
    axes.plot([0, 2.4], [0, 2.4], color=GREY, linewidth=0.8)
    axes.text(2.2, 2.25, "u = v", color=GREY, ha="right", va="bottom", rotation=45, rotation_mode="anchor")
    t = np.linspace(-2, 2, 201)
    for w, width in ((0.25, 0.8), (1.0, 2.4), (2.5, 0.8)):
        balanced = np.full(t.shape, np.sqrt(w))
        along = factor.act(t[None], {"u": balanced, "v": balanced})
        axes.plot(along["u"], along["v"], color=COLOURS[0], linewidth=width)
        axes.text(3.04, w / 3, f"u v = {w:g}", color=COLOURS[0], va="center")
    axes.plot(1, 1, marker="D", color=INK, zorder=3)
    axes.text(0.93, 0.97, "balanced", color=INK, ha="right", va="top")
    for start in ((2.2, 0.05), (0.9, 0.1), (0.05, 1.6)):
        path = gradient_flow(*start)
        charge = factor.charge_values({"u": path[-1, 0], "v": path[-1, 1]})["rescaling"]
        flow_line(axes, path, f"u² − v² = {charge:.2f}".replace("-", "−"))
    return figure


def flow_line(axes: Axes, path: np.ndarray, text: str) -> None:
    """A path (points, 2) with its start open, its end filled, an arrow between and a text beside its end."""
    colour = COLOURS[1]
    axes.plot(*path.T, color=colour, linestyle="--")
    axes.plot(*path[0], marker="o", color=colour, fillstyle="none")
    axes.plot(*path[-1], marker="o", color=colour)
    middle = len(path) // 2
    axes.annotate("", path[middle + 1], path[middle], arrowprops={"arrowstyle": "-|>", "color": colour})
    axes.annotate(text, path[-1], (6, 5), textcoords="offset points", color=colour)


def gradient_flow(u: float, v: float, step: float = 1e-3, steps: int = 12_000) -> np.ndarray:
    """The path of gradient descent with a small step on ½ (u v − 1)², an array (points, 2) evenly spaced in length."""
    path = [(u, v)]
    for _ in range(steps):
        error = u * v - 1
        u, v = u - step * error * v, v - step * error * u
        path.append((u, v))
    points = np.array(path)
    length = np.append(0.0, np.cumsum(np.hypot(*np.diff(points, axis=0).T)))
    even = np.linspace(0, length[-1], 101)
    return np.stack([np.interp(even, length, points[:, axis]) for axis in (0, 1)], axis=1)


if __name__ == "__main__":
    main()
