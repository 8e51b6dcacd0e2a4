"""Which figures show how a mechanism's check came out, drawn from the check's own numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from numeric.comparison.verdict import Verdict
from numeric.experiments.experiment import Experiment
from numeric.reporting.figures import write_figure


class Shown(NamedTuple):
    """Paths of the figures, and the sentence that says what they show."""

    figures: list[Path]
    caption: str


Plot = tuple[str, dict[str, Any]]


def mechanism_figures(verdict: Verdict, experiment: Experiment | None, functions: Any, folder: Path) -> Shown:
    """Write the figures of a verdict into subfolders of ``folder``; none where the check left nothing to draw.

    experiment: the runs behind the verdict; functions: the prediction's torch functions.
    """
    if experiment is None or verdict.mechanism not in PLOTS:
        return Shown([], "")
    plots, caption = PLOTS[verdict.mechanism](verdict.details, experiment, functions)
    paths = [write_figure(kind, data, folder / f"{number}_{kind}") for number, (kind, data) in enumerate(plots, 1)]
    return Shown(paths, caption if paths else "")


def _discrete_noether(details: dict[str, Any], experiment: Experiment, functions: Any) -> tuple[list[Plot], str]:
    if "residual" not in details:
        return [], ""
    data = {
        "steps": details["steps"],
        "residual": details["residual"],
        "tolerance": details["tolerance"],
        "title": "Residual of the discrete Noether law on every step of minibatch SGD",
    }
    return [("residual", data)], (
        "Largest relative residual of C' = (1 − ηλ)²C + η²C(g), or C' = (1 − ηλ)C where C is linear, over charges, "
        "their entries and replicas, on every step, with and without weight decay λ."
    )


def _mirror(details: dict[str, Any], experiment: Experiment, functions: Any) -> tuple[list[Plot], str]:
    if "deviation" not in details:
        return [], ""
    convergence = {
        "eta": details["eta"],
        "deviation": details["deviation"],
        "expected_slope": 1.0,
        "ylabel": "relative KKT residual (dimensionless)",
        "title": "Distance of Q'(w) from the row space of X at the end of gradient descent",
    }
    plots: list[Plot] = [("convergence", convergence)]
    if details.get("minimiser"):
        label, minimiser = next(iter(details["minimiser"].items()))
        coefficients = {
            "reference": minimiser,
            "reference_label": "minimiser of the derived potential subject to Xw = y",
            "estimates": {f"gradient descent, {label}, smallest step": details["coefficients"][label]},
        }
        plots.append(("coefficients", coefficients))
    return plots, (
        "The KKT residual of the end point falls in proportion to the step size, for each start scale α; below it, "
        "the coefficients beside the independently computed minimiser."
    )


def _label_noise(details: dict[str, Any], experiment: Experiment, functions: Any) -> tuple[list[Plot], str]:
    if "distances" not in details:
        return [], ""
    steps = np.asarray(details["steps"])[1:]
    distances = np.asarray(details["distances"])[:, 1:]
    trajectory = {
        "steps": steps,
        "distances": {
            "SGD with label noise": distances,
            "gradient descent, no noise": np.full((1, len(steps)), details["gradient_descent_distance"]),
        },
        "linear_steps": True,
        "ylabel": "relative ℓ1 distance (dimensionless)",
        "title": "Distance of the zero-loss solution from the minimiser of the derived penalty",
    }
    coefficients = {
        "reference": details["reference"],
        "reference_label": "minimiser of the derived penalty subject to Xw = y",
        "estimates": {
            "gradient descent, no noise": details["gradient_descent"],
            "SGD with label noise (mean over replicas)": details["coefficients"],
        },
    }
    return [("trajectories", trajectory), ("coefficients", coefficients)], (
        "With label noise the solution moves to the minimiser of Σ κ_j R(w_j) (basis pursuit where R is proportional "
        "to |w|); without it, gradient descent stays where it ended."
    )


def _stationary_density(details: dict[str, Any], experiment: Experiment, functions: Any) -> tuple[list[Plot], str]:
    if "samples" not in details:
        return [], ""
    distances = zip(details["distribution_distance"], details["sampling_distance"], strict=True)
    density = {
        "eta": details["eta"],
        "samples": details["samples"],
        "grid": details["grid"],
        "density": details["density"],
        "notes": [f"KS distance {found:.4f}\n(sampling alone {alone:.4f})" for found, alone in distances],
        "title": "Predictor over replicas against the derived stationary density",
    }
    ratios = {"variance": details["variance_ratio"], "shift of the mean": details["shift_ratio"]}
    extrapolation = {
        "eta": details["eta"],
        "ratio": {name: [value for value, _ in pairs] for name, pairs in ratios.items()},
        "error": {name: [error for _, error in pairs] for name, pairs in ratios.items()},
    }
    return [("density", density), ("extrapolation", extrapolation)], (
        "Replicas at three step sizes at one noise temperature ησ²; the variance, and the shift of the mean from the "
        "target, over their predictions tend to one as η falls."
    )


def _weight_decay(details: dict[str, Any], experiment: Experiment, functions: Any) -> tuple[list[Plot], str]:
    run = experiment.runs[0]
    norm = functions.weight_decay_norm
    with torch.no_grad():
        w, start = run.module.predictor(run.final), run.module.predictor(run.initial)
    reach = 2 * max(float(w.abs().max()), 1e-12)  # the end is what the figure is about; starts lie further out
    inside = start.abs() <= reach
    grid = torch.linspace(-reach, reach, 401, dtype=w.dtype)
    data = {
        "w": w,
        "norm": norm(run.final),
        "start_w": start[inside],
        "start_norm": norm(run.initial)[inside],
        "grid": grid,
        "minimum": functions.weight_decay(grid),
    }
    return [("fibre", data)], (
        "Every coefficient ends on the curve of the smallest squared norm that its fibre allows; in w this is the "
        "penalty that weight decay stands for."
    )


def _orbit_volume(details: dict[str, Any], experiment: Experiment, functions: Any) -> tuple[list[Plot], str]:
    if "ratios" not in details:
        return [], ""
    extrapolation = {
        "eta": details["inverse_stiffness"],
        "ratio": {name: [value for value, _ in pairs] for name, pairs in details["ratios"].items()},
        "error": {name: [error for _, error in pairs] for name, pairs in details["ratios"].items()},
        "limit": "1/κ = 0",
        "xlabel": "1/κ, variance of the charges over T",
        "title": "Langevin runs with held charges, as the slice gets thin and the step small",
    }
    plots: list[Plot] = [("extrapolation", extrapolation)]
    caption = (
        "Langevin runs whose charges are held with stiffness κ against the derived law on slices of constant charges; "
        "all ratios tend to one as the slice gets thin."
    )
    if "samples" in details:
        density = {
            "eta": details["eta"],
            "samples": details["samples"],
            "grid": details["grid"],
            "density": details["density"],
            "title": "Predictor over replicas with held charges against the derived law on the slice",
        }
        plots.insert(0, ("density", density))
    return plots, caption


PLOTS: dict[str, Callable[[dict[str, Any], Experiment, Any], tuple[list[Plot], str]]] = {
    "discrete_noether": _discrete_noether,
    "mirror": _mirror,
    "label_noise": _label_noise,
    "stationary_density": _stationary_density,
    "weight_decay": _weight_decay,
    "orbit_volume": _orbit_volume,
}
