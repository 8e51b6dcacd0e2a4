"""Check of a noise equilibrium: where the charges settle, how fast, and which of its rivals training supports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from numeric.comparison.estimate import Estimate
from numeric.comparison.free_directions import free_directions
from numeric.comparison.label_noise_gradients import label_noise_gradients, predictions, predictor_gradients
from numeric.comparison.leading_order import LeadingOrder
from numeric.comparison.mechanisms.combine import combine, undecided
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
from numeric.training.model import Model, Point, as_model
from numeric.training.runs import Runs

MECHANISM = "noise_equilibrium"
RATIOS = LeadingOrder(z_threshold=3.0, largest_error=0.1, degree=2)
RIVALS = Rivals(z_threshold=3.0, allowance=0.1)
LATE = 0.5  # part of a run, from its end, over which time averages are taken
END = 2  # lengths of a run after which the predicted path counts as arrived
RELAXED = 0.85  # part of the way that the predicted path must have gone when that begins
MOVED = 0.25  # largest change of the equilibrium itself during a run, over the way from the start to it
QUIET = 0.5  # largest mean square residual over the label noise at the smallest step
PARTS = 8  # of the data, whose spread is the error of what all replicas share
PROBED = 4  # replicas at whose end the assumptions are measured
PROBES = 4_096  # samples on which they are
APART = 0.05  # least charge of the equilibrium over the squared norm, for balance to be another forecast

CRITERION = (
    "measured/predicted of (1) the way that the charges have gone to their equilibrium, time averages over the last "
    f"half of a run, and (2) the rate at which they go; errors over replicas; where there is a "
    f"closed form (3) its squared ratios of norms: {RATIOS.criterion}. Inconclusive if the "
    f"predicted path has gone less than {RELAXED:.0%} of the way by then, if the equilibrium itself moved by more than "
    f"{MOVED:.0%} of it, or if residuals reach {QUIET:g} of the label noise"
)


@dataclass(frozen=True)
class _Path:
    """One step size, all relative to the way e from the start to the equilibrium: measured (R, T) and predicted (T,)
    parts of the way, steps (T,); closed: squared ratio of norms over its closed form, if there is one; position: 0
    where charges vanish and 1 in equilibrium, late time averages (R,); forecast: the same of the predicted path;
    conserved: that of the start."""

    eta: float
    steps: FloatArray
    measured: FloatArray
    predicted: FloatArray
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
    n = min(len(path.measured) for path in paths)
    details = _details(paths)
    reason = _unusable(paths)
    if reason:
        return undecided(MECHANISM, CRITERION, reason, details, n)
    etas = [path.eta for path in paths]
    parts = {
        "equilibrium": _judge(etas, [_gone(path) for path in paths], n),
        "rate": _judge(etas, [time_stretch(path.steps, path.measured, path.predicted) for path in paths], n),
    }
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
    charges = formula(functions, f"{MECHANISM}_charges")
    steps = [int(step) for step in runs.steps]
    # The path's end is the equilibrium in the frame of the start; the gauge itself is known up to rotations.
    path = relaxation_path(functions, start, noise, eta, decay, [*steps, END * steps[-1]])
    *_, target = along = charges(path).flatten(1)
    predicted = along[:-1]
    measured = charges(observed_point(runs, "point")).flatten(2)
    first = charges(start).flatten()
    way = target - first
    if not float(way.square().sum()) > 0:
        raise CheckError("the start is in equilibrium: nothing can be seen to relax")
    late = slice(int((1 - LATE) * len(steps)), None)
    return _Path(
        eta=eta,
        steps=np.asarray(steps, dtype=np.float64),
        measured=((measured - first) @ way / way.square().sum()).T.numpy(),
        predicted=((predicted - first) @ way / way.square().sum()).numpy(),
        position=(measured[late].mean(0) @ target / target.square().sum()).numpy(),
        forecast=float(predicted[late].mean(0) @ target / target.square().sum()),
        conserved=float(first @ target / target.square().sum()),
        assumptions={
            "free": free_directions(functions, start, noise),
            **_assumptions(functions, runs, model, known, target, way),
            "gone": float((predicted[late][0] - first) @ way / way.square().sum()),
            "rate": float(formula(functions, f"{MECHANISM}_rates")(start, noise, eta, decay).max()),
        },
        closed=_closed_form(functions, runs, known, path, late),
    )


def _gone(path: _Path) -> Estimate:
    """Measured over predicted part of the way, late time averages of each replica first."""
    late = slice(int((1 - LATE) * len(path.steps)), None)
    return replica_mean(path.measured[:, late].mean(1) / path.predicted[late].mean())


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


def _assumptions(
    functions: Any,
    runs: Runs,
    model: Model,
    known: Mapping[str, Tensor],
    target: Tensor,
    way: Tensor,
) -> dict[str, float]:
    """What the statement rests on, measured at the end of a run (in one replica where that is all it takes).

    residual: mean square residual over σ²; dependence: correlation of the squared residual with the squared gradient of
    φ over the samples, 0 when noise does not depend on inputs; moved: how far the equilibrium of the end's orbit lies
    from that of the start's, over the way; growth: squared norm at the end over that at the start; charge: norm of the
    equilibrium's charge over the squared norm of what the group moves.
    """
    charges, vector = functions.noise_equilibrium_charges, functions.noise_equilibrium_vector
    sigma = setting(runs, "label_noise")
    few = {name: leaf if name in model.constants else leaf[:PROBES] for name, leaf in known.items()}
    ends, residuals, dependences = [], [], []
    for replica in range(min(PROBED, len(next(iter(runs.final.values()))))):
        end = {name: leaf[replica] for name, leaf in runs.final.items()}
        gradients = label_noise_gradients(model, end, few, sigma)
        ends.append(charges(functions.noise_equilibrium(end, gradients)).flatten())
        squares, slopes = _residuals(model, end, few)
        residuals.append(float(squares.mean()) / sigma**2)
        dependences.append(_correlation(squares, slopes))
    start = {name: leaf[0] for name, leaf in runs.initial.items()}
    noise = label_noise_gradients(model, start, few, sigma)
    drift = torch.stack(ends).mean(0) - charges(functions.noise_equilibrium(start, noise)).flatten()
    squared_norm = vector(runs.final).square().flatten(1).sum(1)
    first = vector(runs.initial).square().flatten(1).sum(1)
    return {
        "residual": float(np.mean(residuals)),
        "dependence": float(np.mean(dependences)),
        "moved": float(drift @ way / way.square().sum()),
        "growth": float((squared_norm / first).mean()),
        "charge": float(target.norm() / first[0]),
    }


def _residuals(model: Model, point: Point, known: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Squared residuals (n · outputs), and the squared norm of the gradient of each output."""
    gradients = predictor_gradients(model, point, known)
    slopes = torch.stack([leaf.square().flatten(1).sum(1) for leaf in gradients.values()]).sum(0)
    prediction = predictions(model, point, known)
    return (prediction - known["y"]).square().flatten(), slopes


def _correlation(left: Tensor, right: Tensor) -> float:
    if len(left) < 3 or float(left.std()) == 0 or float(right.std()) == 0:
        return 0.0
    return float(torch.corrcoef(torch.stack([left, right]))[0, 1])


def _unusable(paths: Sequence[_Path]) -> str:
    if free := int(paths[0].assumptions["free"]):
        return f"zero loss leaves {free} directions beside the orbit: noise moves the solution along them"
    for path in paths:
        if path.assumptions["gone"] < RELAXED:
            gone = path.assumptions["gone"]
            return f"at eta = {path.eta:.3g} the predicted path has gone {gone:.0%} of the way: train longer"
    smallest = paths[-1].assumptions
    if abs(smallest["moved"]) > MOVED:
        return f"the equilibrium itself moved by {smallest['moved']:+.0%} of the way: w has not settled"
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
    return {
        "eta": [path.eta for path in paths],
        "steps": {f"{path.eta:.3g}": path.steps for path in paths},
        "measured": {f"{path.eta:.3g}": path.measured.mean(0) for path in paths},
        "error": {f"{path.eta:.3g}": path.measured.std(0, ddof=1) / len(path.measured) ** 0.5 for path in paths},
        "predicted": {f"{path.eta:.3g}": path.predicted for path in paths},
        "assumptions": {f"{path.eta:.3g}": path.assumptions for path in paths},
    }
