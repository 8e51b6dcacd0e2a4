"""Check of a noise equilibrium: where the charges settle, how fast, and which of its rivals training supports."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from numeric.comparison.estimate import Estimate
from numeric.comparison.label_noise_gradients import label_noise_gradients
from numeric.comparison.leading_order import LeadingOrder
from numeric.comparison.mechanisms.combine import combine, undecided
from numeric.comparison.mechanisms.noise_equilibrium_assumptions import assumptions, equilibria, progress, settling
from numeric.comparison.mechanisms.reading import (
    common_start,
    complete_model_of,
    data_of,
    formula,
    observed_point,
    require_settings,
    setting,
    step_size,
)
from numeric.comparison.orbit_relaxation import relaxation_path
from numeric.comparison.rivals import Rivals
from numeric.comparison.samples import FloatArray
from numeric.comparison.statistics import replica_mean
from numeric.comparison.time_stretch import time_stretch
from numeric.comparison.verdict import Verdict
from numeric.errors import CheckError
from numeric.training.model import Point, as_model
from numeric.training.runs import Runs

MECHANISM = "noise_equilibrium"
RATIOS = LeadingOrder(z_threshold=3.0, largest_error=0.1, degree=2)
RIVALS = Rivals(z_threshold=3.0, allowance=0.1)
LATE = 0.5  # part of a run, from its end, over which time averages are taken
END = 2  # lengths of a run after which the predicted path counts as arrived
RELAXED = 0.85  # part of the way that the predicted path must have gone when that begins
MOVED = 0.25  # largest change of the equilibrium itself during a run, over the way from the start to it
QUIET = 0.5  # largest mean square residual over the label noise at the smallest step
BESIDE = 1e-3  # largest part of the drift along zero loss that leaves the orbit
TURNING = 0.1  # largest commutator of noise and Hessian, where shifts that biases make up for rest on it
LAGS = 1.0  # largest time in which w relaxes over that in which charges do, at the smallest step
PARTS = 8  # of the data, whose spread is the error of what all replicas share
APART = 0.05  # least charge of the equilibrium over the squared norm, for balance to be another forecast

OF = {"charges": "", "position": " of the shifts"}
"""What goes a way, after the names of the formulas that tell it, in the names of the parts of a verdict."""

CRITERION = (
    "measured/predicted of (1) the way that the charges have gone to their equilibrium, time averages over the last "
    "half of a run, its end where the equilibrium has moved by then with the error of that, and (2) the rate at which "
    "they go; the same (3, 4) of parameters whose shifts biases make up for; errors over replicas; where there is a "
    f"closed form (5) its squared ratios of norms: {RATIOS.criterion}. Inconclusive if a predicted path has gone less "
    f"than {RELAXED:.0%} of the way by then, if an equilibrium itself moved by more than {MOVED:.0%} of it, if "
    f"residuals reach {QUIET:g} of the label noise, if more than {BESIDE:g} of the drift leaves the orbit, if at the "
    f"smallest step w relaxes last in more than {LAGS:g} of the time in which charges do, or if noise and Hessian have "
    f"a relative commutator beyond {TURNING:g} under such shifts"
)


@dataclass(frozen=True)
class _Way:
    """Parts of the way from the start to the equilibrium, measured (R, T) and predicted (T,); moved: how far the
    equilibrium of the orbits on which replicas end lies from that of the start's, in parts of the way, (R,)."""

    measured: FloatArray
    predicted: FloatArray
    moved: FloatArray

    @property
    def gone(self) -> Estimate:
        """Measured over predicted part of the way, late time averages of each replica first; the end of the way is
        where it has moved to, as w fluctuates about another mean than the start. A quotient of two means over the same
        replicas: its error is that of the residuals."""
        late = slice(int((1 - LATE) * len(self.predicted)), None)
        found, length = self.measured[:, late].mean(1) / self.predicted[late].mean(), 1 + self.moved
        ratio = float(found.mean() / length.mean())
        return replace(replica_mean((found - ratio * length) / length.mean()), value=ratio)

    @property
    def settled(self) -> float:
        """The predicted part where the late half begins."""
        return float(self.predicted[int((1 - LATE) * len(self.predicted))])

    def time(self, steps: Sequence[int]) -> float:
        """Steps after which a part 1 − 1/e of the measured way is gone, whatever is predicted."""
        mean = self.measured.mean(0)
        late = mean[int((1 - LATE) * len(mean)) :].mean()
        return float(max(steps[int(np.argmax(mean >= (1 - np.exp(-1)) * late))], steps[1]))


@dataclass(frozen=True)
class _Path:
    """One step size: steps (T,); ways: of the charges, and of parameters whose shifts are made up for, if there are
    any; closed: squared ratio of norms over its closed form, if there is one; position: 0 where charges vanish and 1 in
    equilibrium, late time averages (R,); forecast: the same of the predicted path; conserved: that of the start."""

    eta: float
    steps: FloatArray
    ways: dict[str, _Way]
    position: FloatArray
    forecast: float
    conserved: float
    assumptions: dict[str, float]
    closed: Estimate | None = None


def noise_equilibrium(functions: Any, runs: Sequence[Runs], data: Mapping[str, Tensor] | None = None) -> Verdict:
    """Charges of SGD with label noise relax to the derived equilibrium at the derived rate as η goes to zero.

    Needs SGD with label noise on ½‖φ − y‖² at four or more step sizes, without momentum, from one start for all
    replicas where φ = y, with the observable "point"; data: the samples, and the constants of the model by name. The
    predicted path follows from the gradients of φ at the start, moved along the orbit. details, by η: parts of the way,
    what the assumptions came to, and "rivals": which forecast of the charge training supports, that of the noise
    equilibrium, vanishing charges (the balance of isotropic noise), or those of the start (conservation, which a ratio
    near one by growing norms would be).
    """
    runs = sorted(runs, key=step_size, reverse=True)
    paths = [_path(functions, run, data) for run in runs]
    n = min(len(path.position) for path in paths)
    details = _details(paths)
    reason = _unusable(paths)
    if reason:
        return undecided(MECHANISM, CRITERION, reason, details, n)
    etas = [path.eta for path in paths]
    parts = {}
    for name in paths[0].ways:
        of, ways = OF[name], [path.ways[name] for path in paths]
        parts[f"equilibrium{of}"] = _judge(etas, [way.gone for way in ways], n)
        stretches = [time_stretch(path.steps, w.measured, w.predicted) for path, w in zip(paths, ways, strict=True)]
        parts[f"rate{of}"] = _judge(etas, stretches, n)
    if all(path.closed is not None for path in paths):
        parts["closed form"] = _judge(etas, [path.closed for path in paths if path.closed is not None], n)
    details["ratio"] = {name: part.details["ratio"] for name, part in parts.items()}
    details["ratio_error"] = {name: part.details["ratio_error"] for name, part in parts.items()}
    details["rivals"] = _rivals(paths)
    return combine(parts, CRITERION, details)


def _judge(etas: list[float], ratios: Sequence[Estimate], n: int) -> Verdict:
    values, errors = [ratio.value for ratio in ratios], [ratio.standard_error for ratio in ratios]
    return RATIOS.judge(MECHANISM, etas, values, errors, n)


def _path(functions: Any, runs: Runs, data: Mapping[str, Tensor] | None) -> _Path:
    require_settings(runs, zero=("momentum",), positive=("label_noise",))
    model, start = complete_model_of(runs, data), common_start(runs)
    known = {**data_of(runs, data, [*model.inputs, "y"]), **model.fixed}
    eta, decay, sigma = step_size(runs), setting(runs, "weight_decay"), setting(runs, "label_noise")
    batch = int(runs.config["optimizer"]["batch_size"] or len(known["y"]))
    noise = label_noise_gradients(model, start, known, sigma, batch)
    steps = [int(step) for step in runs.steps]
    # The path's end is the equilibrium in the frame of the start; the gauge itself is known up to rotations.
    path = relaxation_path(functions, start, noise, eta, decay, [*steps, END * steps[-1]])
    seen = observed_point(runs, "point")
    centres = equilibria(functions, runs, model, known)
    ways = {}
    for name in _told(functions):
        ways[name] = _way(formula(functions, f"{MECHANISM}_{name}"), start, path, seen, centres)
    slowest = eta * settling(label_noise_gradients(model, centres[0], known, 1.0))
    charges = formula(functions, f"{MECHANISM}_charges")
    measured, along = charges(seen).flatten(2), charges(path).flatten(1)
    late, target = slice(int((1 - LATE) * len(steps)), None), along[-1]
    scale = target / target.square().sum()
    return _Path(
        eta=eta,
        steps=np.asarray(steps, dtype=np.float64),
        ways=ways,
        position=(measured[late].mean(0) @ scale).numpy(),
        forecast=float(along[:-1][late].mean(0) @ scale),
        conserved=float(charges(start).flatten() @ scale),
        assumptions={
            **assumptions(functions, runs, model, known),
            "moved": max((float(way.moved.mean()) for way in ways.values()), key=abs),
            "gone": min(way.settled for way in ways.values()),
            "rate": float(formula(functions, f"{MECHANISM}_rates")(start, noise, eta, decay).max()),
            "lag": 1 / (slowest * ways["charges"].time(steps)),
            "charge": float(target.norm() / formula(functions, f"{MECHANISM}_vector")(start).square().sum()),
        },
        closed=_closed_form(functions, runs, known, path, late),
    )


def _told(functions: Any) -> list[str]:
    """What the predicted path says something about."""
    return [name for name in OF if hasattr(functions, f"{MECHANISM}_{name}")]


def _way(of: Callable[[Point], Tensor], start: Point, path: Point, seen: Point, centres: tuple[Point, Point]) -> _Way:
    """Of a function of points; path: leaves (T + 1, …), the last of which has arrived; seen: (T, R, …); centres: the
    equilibrium of the start's orbit, and of those where replicas end."""
    *_, target = along = of(path).flatten(1)
    first = of(start).flatten()
    if not float((target - first).square().sum()) > 0:
        raise CheckError("the start is in equilibrium: nothing can be seen to relax")
    measured = progress(of(seen).flatten(2), first, target)
    centre, ends = (of(each) for each in centres)
    moved = progress(first + ends.flatten(1) - centre.flatten(), first, target)
    return _Way(measured.T.numpy(), progress(along[:-1], first, target).numpy(), moved.numpy())


def _closed_form(functions: Any, runs: Runs, known: Mapping[str, Tensor], path: Point, late: slice) -> Estimate | None:
    """Squared ratio of the two norms of a unit over its prediction for normal inputs; None where there is none.

    Late time averages of the squares first; units are weighted as in a least squares fit through 0. The inputs'
    covariance is that of the data, and the prediction lags as the predicted path does. The error is that over replicas,
    and that of the inputs, which all replicas and steps share: the spread of the equilibria of parts of the data.
    """
    if not hasattr(functions, f"{MECHANISM}_normal_ratio"):
        return None
    model = as_model(runs.module)
    (x,) = (known[name] for name in model.inputs)
    covariance = x.mT @ x / len(x)
    ratio, units_of = formula(functions, f"{MECHANISM}_normal_ratio"), formula(functions, f"{MECHANISM}_normal_units")

    def squares(point: Point) -> tuple[Tensor, Tensor]:
        """Of the outer and of the inner norm of each unit."""
        units = units_of(point, covariance)
        return units["measured"].square() * units["length"], units["length"]

    def predicted_square(point: Point) -> Tensor:
        units = units_of(point, covariance)
        del units["measured"]
        return torch.as_tensor(ratio(**units)).square() * units["length"]

    outer, inner = squares(path)
    lag = outer[late.start : -1].mean(0) / inner[late.start : -1].mean(0) * inner[-1] / outer[-1]
    point = {name: leaf[late] for name, leaf in observed_point(runs, "point").items()}
    predicted = predicted_square(point).mean(0) * lag
    found = squares(point)[0].mean(0)
    replicas = replica_mean(((found * predicted).sum(-1) / predicted.square().sum(-1)).numpy())
    start = {name: leaf[0] for name, leaf in runs.initial.items()}
    parts = []
    for rows in torch.arange(len(x)).chunk(PARTS):
        part = {name: leaf if name in model.constants else leaf[rows] for name, leaf in known.items()}
        centre = functions.noise_equilibrium(start, label_noise_gradients(model, start, part, 1.0))
        (have, _), say = squares(centre), predicted_square(centre)
        parts.append(float((have * say).sum() / say.square().sum()))
    inputs = float(np.std(parts, ddof=1)) / len(parts) ** 0.5
    return Estimate(replicas.value, float(np.hypot(replicas.standard_error, replicas.value * inputs)), replicas.n)


def _unusable(paths: Sequence[_Path]) -> str:
    for path in paths:
        if path.assumptions["gone"] < RELAXED:
            gone = path.assumptions["gone"]
            return f"at eta = {path.eta:.3g} the predicted path has gone {gone:.0%} of the way: train longer"
    smallest = paths[-1].assumptions
    if smallest["beside"] > BESIDE:
        return f"{smallest['beside']:.1%} of the drift leaves the orbit: noise moves the solution itself"
    if smallest["lag"] > LAGS:
        return f"w takes {smallest['lag']:.2g} of the time in which charges relax to do so itself: use less noise"
    if abs(smallest["moved"]) > MOVED:
        return f"the equilibrium itself moved by {smallest['moved']:+.0%} of the way: w has not settled"
    if "position" in paths[-1].ways and smallest["turning"] > TURNING:
        return f"noise and Hessian have a relative commutator of {smallest['turning']:.2g}: use smaller steps"
    if smallest["residual"] > QUIET:
        return f"residuals are {smallest['residual']:.2g} of the label noise: use smaller steps"
    return ""


def _rivals(paths: Sequence[_Path]) -> dict[str, Any]:
    """The position of the charges between balance (0) and the noise equilibrium (1), extrapolated to η = 0, judged."""
    charge = paths[-1].assumptions["charge"]
    if charge < APART:
        return {"supported": None, "reason": f"the equilibrium's charge is {charge:.1%} of the norm: it is balance too"}
    positions = [replica_mean(path.position) for path in paths]
    fit = _judge([path.eta for path in paths], positions, positions[0].n)
    if fit.standard_error is None:
        return {"supported": None, "reason": fit.details["reason"]}
    measured = Estimate(fit.measured, fit.standard_error, positions[0].n)
    forecast = float(np.mean([path.forecast for path in paths]))
    forecasts = {"noise equilibrium": forecast, "balance": 0.0, "conserved": paths[-1].conserved}
    return RIVALS.judge(forecasts, measured).to_json()


def _details(paths: Sequence[_Path]) -> dict[str, Any]:
    keys = {f"{path.eta:.3g}": path for path in paths}
    ways = {key: path.ways["charges"] for key, path in keys.items()}
    return {
        "eta": [path.eta for path in paths],
        "steps": {key: path.steps for key, path in keys.items()},
        "measured": {key: way.measured.mean(0) for key, way in ways.items()},
        "error": {key: way.measured.std(0, ddof=1) / len(way.measured) ** 0.5 for key, way in ways.items()},
        "predicted": {key: way.predicted for key, way in ways.items()},
        "assumptions": {key: path.assumptions for key, path in keys.items()},
    }
