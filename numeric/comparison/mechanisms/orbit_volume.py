"""Check of the orbit volume: isotropic Langevin runs whose charges are held, in the limit of small steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from numeric.comparison.leading_order import LeadingOrder
from numeric.comparison.mechanisms.combine import combine, undecided
from numeric.comparison.mechanisms.reading import data_of, formula, observed_point, setting, step_size
from numeric.comparison.samples import FloatArray
from numeric.comparison.slice_geometry import SliceGeometry, radius
from numeric.comparison.slice_law import slice_law
from numeric.comparison.statistics import drift_of_halves, replica_mean
from numeric.comparison.verdict import Verdict
from numeric.errors import CheckError
from numeric.training.model import as_model
from numeric.training.runs import Runs

MECHANISM = "orbit_volume"
MOMENTS = LeadingOrder(z_threshold=3.0, largest_error=0.05)
VIRIAL = LeadingOrder(z_threshold=3.0, largest_error=0.1)
STEADY = 5.0  # standard errors between the first and the second half of the snapshots
THIN = 0.4  # largest width of the thinnest slice, over the radius to which it bends, for the law of w
ALIKE = 1.5  # largest quotient of two runs' variances of the charges, for the virial
POWER = 2.0  # a law without correction must differ by this many times what would refute
GRID = 200

CRITERION = (
    "for one coordinate 1 + (mean of w − predicted)/(predicted deviation) and variance over predicted, against 1/κ, "
    "the measured variance of the charges over the temperature, which the step follows; for others, against the step "
    "at one κ, E[∇f·∇V] over E[Δf − ∇f·∇L/T], f = ½‖θ‖², with gradient and Laplacian of the slice; time averages "
    f"per replica first: {VIRIAL.criterion} ({MOMENTS.largest_error:g} for moments of w); inconclusive if the slice of "
    f"one coordinate is wider than {THIN:g} of the radius to which it bends, if for others the variances of the "
    f"charges differ by a factor of {ALIKE:g}, if halves of the snapshots differ by more than {STEADY:g} "
    "standard errors, or if a law without correction could not have been told apart"
)


class _Held(NamedTuple):
    """One run: 1/κ as measured, the slice's relative width, and per snapshot and replica its points and gradients."""

    inverse_stiffness: float
    width: float
    temperature: float
    point: dict[str, Tensor]
    gradient: dict[str, Tensor]


def orbit_volume(functions: Any, runs: Sequence[Runs], data: Mapping[str, Tensor] | None = None) -> Verdict:
    """The law on a slice of constant charges carries exp(−V), with respect to the slice's own volume.

    Needs isotropic Langevin runs from one start at three or more steps, with κ‖c − c₀‖²/2 in the loss, and the
    observables "point" and "gradient" (of the whole loss; what holds the charges is normal to the slice and drops out).
    Graphs whose (w, c) are coordinates are compared with the law of w for the loss ½(w − y)², data = {"y": (1, 1)},
    with κ that grow as steps fall: the charges vary, and w with them. All others are compared by one moment that the
    law fixes for any loss, the virial of the slice. It holds on the slice through every point, whatever the spread of
    the charges, so κ stays and the error is a series in the step.
    """
    runs = sorted(runs, key=step_size, reverse=True)
    for run in runs:
        if run.config["optimizer"]["name"] != "Langevin":
            raise CheckError(
                f"the prediction is about isotropic Langevin noise, and the run used {run.config['optimizer']['name']}"
            )
    start = {name: leaf[0].to(torch.float64) for name, leaf in runs[0].initial.items()}
    geometry = SliceGeometry.at(formula(functions, f"{MECHANISM}_charges"), start)
    held = [_held(run, geometry) for run in runs]
    n = next(iter(held[0].point.values())).shape[1]
    details: dict[str, Any] = {
        "inverse_stiffness": [run.inverse_stiffness for run in held],
        "width": [run.width for run in held],
        "eta": [step_size(run) for run in runs],
    }
    is_curve = hasattr(functions, f"{MECHANISM}_slope") and geometry.charges == len(start) - 1
    reason = _loose(held) if is_curve else _unlike(held)
    if reason:
        return undecided(MECHANISM, CRITERION, reason, details, n)
    if is_curve:
        return _law_of_w(functions, runs, held, data, details, n)
    return _virial(functions, held, geometry, details, n)


def _loose(held: Sequence[_Held]) -> str:
    """Why the thinnest slice is too wide for a law on it; empty where it is not."""
    width = held[-1].width
    return f"the thinnest slice is {width:.2g} of the radius to which it bends wide: hold charges tighter" * (
        width > THIN
    )


def _unlike(held: Sequence[_Held]) -> str:
    """Why runs do not differ by their steps alone; empty where they do."""
    values = [run.inverse_stiffness for run in held]
    factor = max(values) / min(values)
    return f"the variance of the charges differs by a factor of {factor:.2g} between runs: take one κ" * (
        factor > ALIKE
    )


def _held(run: Runs, geometry: SliceGeometry) -> _Held:
    point, gradient = (observed_point(run, name) for name in ("point", "gradient"))
    point, gradient = ({k: v.to(torch.float64) for k, v in leaves.items()} for leaves in (point, gradient))
    temperature = setting(run, "temperature")
    if not temperature > 0:
        raise CheckError("the prediction is about a temperature > 0, and the run had none")
    flat = {name: leaf.flatten(0, 1) for name, leaf in point.items()}
    start = {name: leaf[:1].to(torch.float64) for name, leaf in run.initial.items()}
    spread = geometry.values(flat) - geometry.values(start)
    rows = geometry.gradients(start)[0]
    bend = float(radius(torch.linalg.eigvalsh(rows @ rows.mT)))
    variance = float(spread.square().mean())
    return _Held(variance / temperature, variance**0.5 / bend, temperature, point, gradient)


def _law_of_w(
    functions: Any,
    runs: Sequence[Runs],
    held: Sequence[_Held],
    data: Mapping[str, Tensor] | None,
    details: dict[str, Any],
    n: int,
) -> Verdict:
    target = float(data_of(runs[0], data, ("y",))["y"])
    predictor = as_model(runs[0].module).predictor
    start = {name: float(leaf[0]) for name, leaf in runs[0].initial.items()}
    volume, slope = formula(functions, MECHANISM), formula(functions, f"{MECHANISM}_slope")
    temperature = held[0].temperature
    try:
        law = slice_law(predictor, lambda point: -volume(point) - slope(point), start, target, temperature)
        rival = slice_law(predictor, lambda point: -slope(point), start, target, temperature)
    except CheckError as error:
        return undecided(MECHANISM, CRITERION, f"the predicted law cannot be evaluated: {error}", details, n)
    samples = [np.asarray(predictor(run.point)[..., 0].numpy(), dtype=np.float64) for run in held]
    for w in samples:
        reason = _unsettled(w, "w") or _unsettled((w - w.mean()) ** 2, "the variance of w")
        if reason:
            return undecided(MECHANISM, CRITERION, reason, details, n)
    means = [replica_mean((w.mean(0) - law.mean) / law.variance**0.5 + 1) for w in samples]
    spreads = [replica_mean(((w - w.mean()) ** 2).mean(0) / law.variance) for w in samples]
    x = details["inverse_stiffness"]
    parts = {
        name: MOMENTS.judge(MECHANISM, x, [e.value for e in estimates], [e.standard_error for e in estimates], n)
        for name, estimates in (("mean of w", means), ("variance of w", spreads))
    }
    lower, upper = (float(np.quantile(samples[-1], q)) for q in (0.0005, 0.9995))
    grid = np.linspace(lower, upper, GRID)
    details |= {
        "samples": np.stack([w[-1] for w in samples]),
        "grid": grid,
        "density": np.stack([law.pdf(grid)] * len(samples)),
        "ratios": {
            "1 + shift of the mean": [(e.value, e.standard_error) for e in means],
            "variance": [(e.value, e.standard_error) for e in spreads],
        },
        "without_correction": {"mean": rival.mean, "variance": rival.variance},
        "predicted": {"mean": law.mean, "variance": law.variance},
    }
    verdict = combine(parts, CRITERION, details)
    if verdict.verdict != "confirmed":
        return verdict
    effects = (abs(rival.mean - law.mean) / law.variance**0.5, abs(rival.variance / law.variance - 1))
    seen = [
        effect / (MOMENTS.z_threshold * (part.standard_error or np.inf))
        for effect, part in zip(effects, parts.values(), strict=True)
    ]
    if max(seen) < POWER:
        return undecided(
            MECHANISM,
            CRITERION,
            "a law without correction could not have been told apart: use more replicas",
            verdict.details,
            n,
        )
    return verdict


def _virial(functions: Any, held: Sequence[_Held], geometry: SliceGeometry, details: dict[str, Any], n: int) -> Verdict:
    volume = formula(functions, MECHANISM)
    ratios, errors, sides = [], [], []
    for run in held:
        shape = next(iter(run.point.values())).shape[:2]
        flat = {name: leaf.flatten(0, 1).clone().requires_grad_() for name, leaf in run.point.items()}
        found = torch.autograd.grad(volume(flat).sum(), tuple(flat.values()), materialize_grads=True)
        slopes = dict(zip(flat, found, strict=True))
        plain = {name: leaf.detach() for name, leaf in flat.items()}
        gradient = {name: leaf.flatten(0, 1) for name, leaf in run.gradient.items()}
        measured, predicted = (
            np.asarray(side.reshape(shape).numpy())
            for side in geometry.virial(plain, gradient, slopes, run.temperature)
        )
        reason = _unsettled(measured, "the virial")
        if reason:
            return undecided(MECHANISM, CRITERION, reason, details, n)
        left, right = replica_mean(measured.mean(0)), replica_mean(predicted.mean(0))
        sides.append((left.value, left.standard_error, right.value))
        ratios.append(right.value / left.value)
        # Of the ratio where it is one, to first order; a prediction of nothing has no error of its own.
        errors.append(replica_mean((predicted - measured).mean(0) / left.value).standard_error)
    details |= {
        "virial": sides,
        "ratios": {"virial of the slice, predicted over measured": list(zip(ratios, errors, strict=True))},
    }
    weakest = min(abs(value) / error for value, error, _ in sides)
    if weakest < 1 / VIRIAL.largest_error:
        reason = f"the measured virial is {weakest:.1f} standard errors from zero: use more replicas"
        return undecided(MECHANISM, CRITERION, reason, details, n)
    verdict = VIRIAL.judge(MECHANISM, details["eta"], ratios, errors, n)
    return combine({"virial": verdict}, CRITERION, details)


def _unsettled(values: FloatArray, name: str) -> str:
    """Why values (T, R) are not stationary; empty where they are."""
    if not np.isfinite(values).all():
        return f"{name} is not finite in some replicas"
    drift = drift_of_halves(values)
    return f"{name} still drifts ({drift:+.1f} standard errors): record later" if abs(drift) > STEADY else ""
