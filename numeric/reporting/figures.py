"""Every kind of figure by its name; a figure is always drawn from data that were saved first."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from numeric.errors import CheckError
from numeric.files import write_whole
from numeric.reporting.bands_figure import draw_bands
from numeric.reporting.coefficients_figure import draw_coefficients
from numeric.reporting.collapse_figure import draw_collapse
from numeric.reporting.convergence_figure import draw_convergence
from numeric.reporting.correlations_figure import draw_correlations
from numeric.reporting.curvature_figure import draw_curvature
from numeric.reporting.density_figure import draw_density
from numeric.reporting.dynamics_figure import draw_dynamics
from numeric.reporting.edge_figure import draw_edge
from numeric.reporting.extrapolation_figure import draw_extrapolation
from numeric.reporting.fibre_figure import draw_fibre
from numeric.reporting.figure_data import load_figure_data, save_figure_data
from numeric.reporting.gap_figure import draw_gap
from numeric.reporting.graph_figure import draw_graph
from numeric.reporting.intervals_figure import draw_intervals
from numeric.reporting.orbit_figure import draw_orbit
from numeric.reporting.relaxation_figure import draw_relaxation
from numeric.reporting.residual_figure import draw_residual
from numeric.reporting.scatter_figure import draw_scatter
from numeric.reporting.style import style
from numeric.reporting.trajectories_figure import draw_trajectories

FIGURES: dict[str, Callable[[Mapping[str, Any]], Figure]] = {
    "graph": draw_graph,
    "convergence": draw_convergence,
    "trajectories": draw_trajectories,
    "density": draw_density,
    "extrapolation": draw_extrapolation,
    "fibre": draw_fibre,
    "coefficients": draw_coefficients,
    "residual": draw_residual,
    "curvature": draw_curvature,
    "relaxation": draw_relaxation,
    "bands": draw_bands,
    "scatter": draw_scatter,
    "correlations": draw_correlations,
    "intervals": draw_intervals,
    "orbit": draw_orbit,
    "edge": draw_edge,
    "gap": draw_gap,
    "collapse": draw_collapse,
    "dynamics": draw_dynamics,
}


def write_figure(kind: str, data: Mapping[str, Any], folder: Path) -> Path:
    """Save `data` with versions and commit in `folder`, then draw the figure from these files.

    kind: a key of FIGURES, whose function documents the data. Returns the path of figure.svg. CheckError for
    an unknown kind or data that do not fit it.
    """
    if kind not in FIGURES:
        raise CheckError(f"there is no figure of kind {kind!r}; known are {', '.join(FIGURES)}")
    return draw_figure(save_figure_data(kind, data, folder))


def draw_figure(folder: Path) -> Path:
    """Draw figure.svg anew from the data in `folder`; returns its path. StoreError for unreadable data."""
    kind, data = load_figure_data(folder)
    if kind not in FIGURES:
        raise CheckError(f"{folder} holds a figure of unknown kind {kind!r}; known are {', '.join(FIGURES)}")
    buffer = io.BytesIO()
    with style():
        FIGURES[kind](data).savefig(buffer, format="svg", metadata={"Date": None})
    return write_whole(Path(folder) / "figure.svg", buffer.getvalue())
