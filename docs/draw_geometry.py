"""The figure of the page about geometry, drawn from derived geodesics: ``python docs/draw_geometry.py``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import sympy as sp
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import symtheory as st
from numeric.reporting.style import COLOURS, DASHES, INK, MARKERS, new_figure, style
from symtheory.geometry import ElementwiseGeometry

STATIC = Path(__file__).parent / "_static"
# Text stays text, so that it can be selected and searched.
TEXT: Any = {"svg.fonttype": "none", "font.family": "sans-serif"}
LENGTH = 0.4
POINTS = ((1.0, 1.0), (2.0, 0.5))
LIMITS = (0.0, 3.0), (0.0, 2.4)


def main() -> None:
    """Draw the figure into docs/_static."""
    with style(), matplotlib.rc_context(TEXT):
        balls().savefig(STATIC / "geometry_balls.svg", metadata={"Date": None})


def balls() -> Figure:
    """How far u v changes within one length of two points of an orbit, in three metrics."""
    u, v = st.param("u"), st.param("v")
    P = st.Parametrization(u * v, name="product")
    figure = new_figure(9.0, 2.9)
    for axes, metric in zip(figure.subplots(1, 3, sharey=True), ("euclidean", "invariant", "mixed"), strict=True):
        axes.set(xlim=LIMITS[0], ylim=LIMITS[1], xlabel="u", title=metric, aspect="equal")
        level(axes, 1.0, color=COLOURS[0], linewidth=2.0)
        for place, point in enumerate(POINTS):
            geometry = P.geometry(metric)
            assert isinstance(geometry, ElementwiseGeometry)
            look = {"color": COLOURS[1 + place], "marker": MARKERS[place], "dash": DASHES[place]}
            draw_point(axes, geometry, point, look)
        axes.legend(loc="upper right")
        if metric == "euclidean":
            axes.set_ylabel("v")
    return figure


def draw_point(axes: Axes, geometry: ElementwiseGeometry, point: tuple[float, float], look: Mapping[str, Any]) -> None:
    """A point, what lies within the length of it, and the orbits of the least and the largest u v there."""
    colour, dash = look["color"], look["dash"]
    path = circle(point) if geometry.name == "euclidean" else horizontal(geometry, point)
    axes.plot(*path, color=colour, linewidth=1.4)
    axes.plot(*point, marker=look["marker"], color=INK, zorder=3)
    products = path[0] * path[1]
    for end in (products.argmin(), products.argmax()):
        axes.plot(*path[:, end], marker=look["marker"], color=colour, zorder=3)
        level(axes, products[end], color=colour, linestyle=dash, linewidth=0.9)
    span = f"u v from {products.min():.2f} to {products.max():.2f}"
    axes.plot([], [], color=colour, linestyle=dash, marker=look["marker"], linewidth=0.9, label=span)


def circle(point: tuple[float, float]) -> np.ndarray:
    """Array (2, points): the circle around a point, of the radius LENGTH."""
    angle = np.linspace(0, 2 * np.pi, 721)
    return np.array(point)[:, None] + LENGTH * np.stack([np.cos(angle), np.sin(angle)])


def horizontal(geometry: ElementwiseGeometry, point: tuple[float, float]) -> np.ndarray:
    """Array (2, points): the horizontal geodesic through a point, of the length LENGTH to either side."""
    at = dict(zip(geometry.coordinates, point, strict=True))
    direction = geometry.horizontal_projection.subs(at) * sp.Matrix([1, 1])
    size = sp.sqrt(geometry.quadratic_form(list(direction)).subs(at))
    exponential = geometry.exponential(horizontal=True)
    steps = np.linspace(-LENGTH, LENGTH, 201)
    curve = []
    for image in exponential.image.values():
        along = image.subs({exponential.initial[x]: value for x, value in at.items()})
        free = [exponential.velocity[x] for x in geometry.coordinates]
        ends = [steps * float(component / size) for component in direction]
        curve.append(sp.lambdify(free, along, "numpy")(*ends))
    return np.stack(curve)


def level(axes: Axes, product: float, **look: Any) -> None:
    """The orbit on which u v has a value."""
    u = np.linspace(max(product, 0.02) / LIMITS[1][1], LIMITS[0][1], 400)
    axes.plot(u, product / u, **look)


if __name__ == "__main__":
    main()
