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


def _noise_equilibrium(details: dict[str, Any], experiment: Experiment, functions: Any) -> tuple[list[Plot], str]:
    if "ratio" not in details:
        return [], ""
    labels = {key: f"η = {key}" for key in details["steps"]}
    parts = {
        part: {label: details[part][key] for key, label in labels.items()}
        for part in ("measured", "error", "predicted")
    }
    rates = {key: details["assumptions"][key]["rate"] for key in labels}
    relaxation = {
        **parts,
        "time": {label: rates[key] * np.asarray(details["steps"][key]) for key, label in labels.items()},
        "title": "Charges on their way from the start to the noise equilibrium",
    }
    extrapolation = {"eta": details["eta"], "ratio": details["ratio"], "error": details["ratio_error"]}
    supported = details["rivals"].get("supported")
    words = f" Of the rival forecasts of the charges, training supports: {supported}." if supported else ""
    return [("relaxation", relaxation), ("extrapolation", extrapolation)], (
        "Label noise moves the charges from their start to the derived equilibrium at the derived rate; time is in "
        "units of the fastest relaxation. Measured over predicted, of the way gone and of the rate, tends to one as η "
        f"falls.{words}"
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
    plots += [("convergence", _moved_scale(details[kind], kind)) for kind in MOVED if kind in details]
    if details.get("minimiser"):
        label, minimiser = next(iter(details["minimiser"].items()))
        coefficients = {
            "reference": minimiser,
            "reference_label": "minimiser of the derived potential subject to Xw = y",
            "estimates": {f"gradient descent, {label}, smallest step": details["coefficients"][label]},
        }
        plots.append(("coefficients", coefficients))
    return plots, (
        "The KKT residual of the end point falls in proportion to the step size, for each start scale α; where the "
        "scale moves during training, at the scale of the end and not at that of the start; last, the coefficients "
        "beside the independently computed minimiser."
    )


MOVED = {"sgd": (2.0, "minibatch SGD"), "decay": (1.0, "gradient descent with weight decay")}
"""Where the scale of the leaf moves: order of the residual at the scale of the end, and what it is called."""


def _moved_scale(found: dict[str, Any], kind: str) -> dict[str, Any]:
    slope, training = MOVED[kind]
    return {
        **found,
        "expected_slope": slope,
        "ylabel": "relative KKT residual (dimensionless)",
        "title": f"Distance of Q'(w) from the row space of X at the end of {training}",
    }


def _label_noise(details: dict[str, Any], experiment: Experiment, functions: Any) -> tuple[list[Plot], str]:
    if "ratio_error" in details:
        ratios = {
            "eta": details["eta"],
            "ratio": {"displacement along zero loss": details["ratio"]},
            "error": {"displacement along zero loss": details["ratio_error"]},
        }
        return [("extrapolation", ratios)], (
            "Mean displacement of the solution along the predicted drift −(η²σ²/4) P ∇T, over the predicted length: it "
            "tends to one as η falls."
        )
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
    if "start_norm" in details:
        return _weight_decay_of_group(details)
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


def _weight_decay_of_group(details: dict[str, Any]) -> tuple[list[Plot], str]:
    if "penalty" not in details:
        return [], ""
    reach = 1.05 * float(max(details["penalty"].max(), details["start_penalty"].max()))
    grid = np.linspace(0.0, reach, 2)
    data = {
        "w": details["penalty"],
        "norm": details["norm"],
        "start_w": details["start_penalty"],
        "start_norm": details["start_norm"],
        "grid": grid,
        "minimum": grid,
        "label": "derived minimum on the orbit, R(θ)",
        "count": "replicas",
        "xlabel": "R(θ), the smallest squared norm on the orbit",
        "ylabel": "squared norm of the parameters",
        "title": "Weight decay ends at the smallest norm on each orbit",
    }
    return [("fibre", data)], (
        "Every replica ends on the line where its squared norm is the smallest on its orbit; starts lie above it."
    )


def _finite_step_covariance(details: dict[str, Any], experiment: Experiment, functions: Any) -> tuple[list[Plot], str]:
    if "continuous" not in details:
        return [], ""
    series: dict[str, dict[str, list[np.ndarray]]] = {}
    columns = ("eta", "curvatures", "ratio", "ratio_error", "continuous", "momentum")
    for eta, curvatures, ratio, error, continuous, momentum in zip(*(details[key] for key in columns), strict=True):
        rival = np.asarray(continuous) / np.asarray(ratio)  # predicted here over predicted in continuous time
        entry = series.setdefault(f"μ = {momentum:g}", {"x": [], "ratio": [], "error": [], "predicted": []})
        for key, values in (
            ("x", eta * np.asarray(curvatures)),
            ("ratio", np.asarray(continuous)),
            ("error", np.asarray(error) * rival),
            ("predicted", rival),
        ):
            entry[key].append(values)
    joined = {label: {key: np.concatenate(arrays) for key, arrays in entry.items()} for label, entry in series.items()}
    return [("curvature", {"series": joined})], (
        "Variance of the parameters along the eigenvectors of the Hessian over that of a diffusion in continuous time, "
        "which is the dashed line; the points of the derived law at a finite step lie on the curves."
    )


def _joint_stationary_density(
    details: dict[str, Any], experiment: Experiment, functions: Any
) -> tuple[list[Plot], str]:
    if "shift_ratio" not in details:
        return [], ""
    ratio, error = {}, {}
    for name, key in (("variance", "variance_ratio"), ("shift of the mean", "shift_ratio")):
        for index in range(len(details["mean"][0])):
            label = f"{name}, w_{index + 1}"
            ratio[label] = [values[index] for values, _ in details[key]]
            error[label] = [errors[index] for _, errors in details[key]]
    data = {
        "eta": details["eta"],
        "ratio": ratio,
        "error": error,
        "title": "Moments of coefficients with correlated features over their predictions",
    }
    return [("extrapolation", data)], (
        "Variance of every coefficient, and shift of its mean from the target, over their predictions; both tend to "
        "one as η falls. The features of the second and the third are correlated, the coefficients are not."
    )


def _scale_equilibrium(details: dict[str, Any], experiment: Experiment, functions: Any) -> tuple[list[Plot], str]:
    if "trajectories" not in details:
        return [], ""
    distances = dict(details["trajectories"])
    trajectory = {
        "steps": distances.pop("steps"),
        "distances": distances,
        "linear_steps": True,
        "ylabel": "r⁴ over its predicted equilibrium (dimensionless)",
        "title": "The invisible scale under weight decay, from above and from below",
    }
    plots: list[Plot] = [("trajectories", trajectory)]
    if np.isfinite([details["ratio"][name] for name in details["ratio"]]).all():
        extrapolation = {
            "eta": details["decay"],
            "ratio": details["ratio"],
            "error": details["error"],
            "xlabel": "ηλ (dimensionless)",
            "title": "Time averages of r⁴ and the rate of relaxation over their predictions",
        }
        plots.append(("extrapolation", extrapolation))
    return plots, (
        "r⁴ settles at ηE‖rg‖²/(2λ − ηλ²) from both sides; averages and rate over their predictions tend to one as ηλ "
        "falls."
    )


def _modified_loss(details: dict[str, Any], experiment: Experiment, functions: Any) -> tuple[list[Plot], str]:
    if "deviation" not in details:
        return [], ""
    convergence = {
        "eta": details["eta"],
        "deviation": details["deviation"],
        "expected_slope": 2.0,
        "ylabel": "distance of the end point (dimensionless)",
        "title": "Gradient descent against the flow of L, of the modified loss, and with the next term",
    }
    extrapolation = {
        "eta": details["epoch_eta"],
        "ratio": details["ratio"],
        "error": details["error"],
        "title": "What one epoch adds to the flow of L on average, over what its modified loss adds",
    }
    return [("convergence", convergence), ("extrapolation", extrapolation)], (
        "The end point of gradient descent leaves the flow of L by order η, that of L + (η/4)‖∇L‖² by order η²; the "
        "mean of a shuffled epoch follows L + (η/4)E‖∇L_B‖², that of independent batches L + (η/4)‖∇L‖²."
    )


def _orbit_volume(details: dict[str, Any], experiment: Experiment, functions: Any) -> tuple[list[Plot], str]:
    if "ratios" not in details:
        return [], ""
    thins = "samples" in details
    extrapolation = {
        "eta": details["inverse_stiffness" if thins else "eta"],
        "ratio": {name: [value for value, _ in pairs] for name, pairs in details["ratios"].items()},
        "error": {name: [error for _, error in pairs] for name, pairs in details["ratios"].items()},
        "limit": "1/κ = 0" if thins else "η = 0",
        "xlabel": "1/κ, variance of the charges over T" if thins else "η",
        "title": "Langevin runs with held charges, as the step gets small" + ", and the slice thin" * thins,
    }
    plots: list[Plot] = [("extrapolation", extrapolation)]
    caption = (
        "Langevin runs whose charges are held with stiffness κ against the derived law on slices of constant charges; "
        "all ratios tend to one as the step gets small" + (", and the slice thin." if thins else ".")
    )
    if thins:
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
    "noise_equilibrium": _noise_equilibrium,
    "mirror": _mirror,
    "label_noise": _label_noise,
    "stationary_density": _stationary_density,
    "weight_decay": _weight_decay,
    "finite_step_covariance": _finite_step_covariance,
    "joint_stationary_density": _joint_stationary_density,
    "scale_equilibrium": _scale_equilibrium,
    "modified_loss": _modified_loss,
    "orbit_volume": _orbit_volume,
}
