"""Check of the equilibrium of a scale: the exact step, where r⁴ settles from both sides, and how fast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from numeric.comparison.estimate import Estimate
from numeric.comparison.exact_law import ExactLaw
from numeric.comparison.leading_order import LeadingOrder
from numeric.comparison.mechanisms.combine import combine, undecided
from numeric.comparison.mechanisms.reading import formula, observable, require_settings, setting, step_size
from numeric.comparison.statistics import bootstrap
from numeric.comparison.verdict import Verdict
from numeric.errors import CheckError
from numeric.training.runs import Runs

MECHANISM = "scale_equilibrium"
SQUARE = f"{MECHANISM}_square"
LAW = ExactLaw(tolerance=1e-10, n=2_000)
LIMIT = LeadingOrder(z_threshold=4)
RATE_LIMIT = LeadingOrder(z_threshold=4, degree=2)  # so precise that a straight line would be refuted by its curvature
SETTLED = 6.0  # relaxation times after which the average begins: the start has faded to e⁻⁶
SPAN = (0.25, 2.25)  # of the measured relaxation, in relaxation times
TAIL, LEAST = 0.1, 4  # bound on the relative correction by fluctuations, ηλ E‖ĝ‖⁴/G²; least number of ηλ below it
DRIFT, DRIFT_Z = 0.1, 4.0  # relative change between the halves of the average, and its standard errors
RESAMPLES = 200
PARTS = ("from above", "from below", "rate")
POINTS = 200  # of a trajectory that is kept to be drawn

CRITERION = (
    f"r² after every step: {LAW.criterion}. Time averages of r⁴ over the prediction from the mean square of r g in the "
    f"same run, from above and from below, against ηλ: {LIMIT.criterion}; what r⁴ still changes by counts as an error. "
    "The rate at which the two sides approach each other over the prediction from the measured sensitivity of that "
    f"mean square to r: {RATE_LIMIT.criterion}. Values of ηλ "
    f"count where ηλ E(rg)⁴/(E(rg)²)² is below {TAIL:g}. Inconclusive for fewer than {LEAST} of them, or where r⁴ or "
    "the mean square still changes by "
    f"{DRIFT:.0%} between the halves of the average"
)


class _Side(NamedTuple):
    """One run, summed over scales and copies: r⁴ and the r⁴ predicted from the squared gradient, (R, T) each."""

    fourth: Tensor
    predicted: Tensor


def scale_equilibrium(functions: Any, runs: Sequence[Runs], data: Mapping[str, Tensor] | None = None) -> Verdict:
    """r'² = (1 − ηλ)² r² + η²‖g‖² on every step; r⁴ → η E‖rg‖²/(2λ − ηλ²); deviations decay at the predicted rate.

    Needs, for four or more values of ηλ, two runs of SGD or gradient descent with weight decay, without momentum and
    with the same noise, that start above and below the equilibrium, and the observables "square" and
    "gradient_square" at every step (numeric.experiments.scale_equilibrium). Scales and their copies are added up, which
    the statement allows since it is linear in r⁴ and in the squared gradient. details: "decay" ηλ (k,), for each part
    "ratio" and "error" (k,), "sensitivity" (k,), "tail" (k,), and "trajectories" of r⁴ over its prediction at the
    smallest ηλ.
    """
    groups = _by_decay(runs)
    law = LAW.judge(MECHANISM, torch.cat([_residuals(functions, run) for run in runs]))
    found = {decay: _measured(functions, pair) for decay, pair in groups.items()}
    kept = [decay for decay, measured in found.items() if measured.tail < TAIL]
    reasons = [reason for decay in kept for reason in found[decay].unsettled]
    if len(kept) < LEAST:
        worst = max(measured.tail for measured in found.values())
        reasons.insert(0, f"the squared gradient has heavy tails, which correct r⁴ by {worst:.2g}: use smaller ηλ")
    replicas = runs[0].config["replicas"]
    parts = {"exact law": law}
    for name in PARTS:
        estimates = [found[decay].ratios[name] for decay in kept]
        parts[name] = _judge(RATE_LIMIT if name == "rate" else LIMIT, kept, estimates, reasons, replicas)
    shown = {name: [measured.ratios[name] for measured in found.values()] for name in PARTS}
    return combine(
        parts,
        CRITERION,
        {
            "decay": torch.tensor(list(found), dtype=torch.float64),
            "ratio": {name: [estimate.value for estimate in estimates] for name, estimates in shown.items()},
            "error": {name: [estimate.standard_error for estimate in estimates] for name, estimates in shown.items()},
            "sensitivity": [measured.sensitivity for measured in found.values()],
            "tail": [measured.tail for measured in found.values()],
            "trajectories": _trajectories(_sides(functions, groups[min(groups)])),
            "residual": law.measured,
        },
    )


class _Measured(NamedTuple):
    """At one ηλ: for each part measured over predicted; the sensitivity of the squared gradient to r⁴; the relative
    correction by fluctuations; and which averages had not settled."""

    ratios: dict[str, Estimate]
    sensitivity: float
    tail: float
    unsettled: list[str]


def _measured(functions: Any, pair: list[Runs]) -> _Measured:
    sides, numbers = _sides(functions, pair), _numbers(pair[0])
    rate = float(formula(functions, f"{MECHANISM}_rate")(torch.zeros(()), *numbers))
    begin = round(SETTLED / rate)
    late = [_Side(side.fourth[:, begin:], side.predicted[:, begin:]) for side in sides]
    if late[0].fourth.shape[1] < 2 or bool(sides[0].predicted.mean() <= 0):
        raise CheckError(f"the runs are shorter than {SETTLED:g} relaxation times, or have no gradient: train longer")
    relaxation, sensitivity = _relaxation(functions, sides, rate, numbers)
    ratios = {"from above": _ratio(late[0], rate), "from below": _ratio(late[1], rate), "rate": relaxation}
    tail = max(_tail(side) for side in late) * float(np.prod(numbers))
    return _Measured(ratios, sensitivity, tail, [reason for side in late for reason in _unsettled(side)])


def _judge(limit: LeadingOrder, decays: list[float], found: list[Estimate], reasons: list[str], count: int) -> Verdict:
    if reasons:
        return undecided(MECHANISM, limit.criterion, reasons[0], n=count)
    values, errors = [e.value for e in found], [e.standard_error for e in found]
    return limit.judge(MECHANISM, decays, values, errors, count)


def _numbers(run: Runs) -> tuple[float, float]:
    """(η, λ)."""
    return step_size(run), setting(run, "weight_decay")


def _by_decay(runs: Sequence[Runs]) -> dict[float, list[Runs]]:
    """ηλ → the two runs, falling ηλ. CheckError for other settings than the check is about."""
    groups: dict[float, list[Runs]] = {}
    for run in runs:
        require_settings(run, zero=("momentum",), positive=("weight_decay",))
        if not torch.equal(run.steps, torch.arange(run.config["steps"])):
            raise CheckError("the check needs the squares of every step: train with record_every=1")
        groups.setdefault(float(np.prod(_numbers(run))), []).append(run)
    for decay, pair in groups.items():
        if len(pair) != 2 or pair[0].config["seed"] != pair[1].config["seed"]:
            raise CheckError(f"the check needs two runs with the same seed at ηλ = {decay:g}, from above and below")
    return dict(sorted(groups.items(), reverse=True))


def _scales(run: Runs) -> list[str]:
    names = [key.removeprefix("square.") for key in run.observables if key.startswith("square.")]
    if not names:
        raise CheckError("the check needs the observables 'square' and 'gradient_square': record them at every step")
    return names


def _residuals(functions: Any, run: Runs) -> Tensor:
    """Relative residual of the exact law on every step, the largest over replicas, scales and copies, (T,)."""
    law, final = formula(functions, MECHANISM), formula(functions, SQUARE)(run.final)
    worst = []
    for name in _scales(run):
        before, gradient = observable(run, f"square.{name}"), observable(run, f"gradient_square.{name}")
        after = torch.cat([before[1:], final[name].unsqueeze(0)])
        predicted = law(before, gradient, *_numbers(run))
        worst.append(((after - predicted).abs() / predicted).flatten(1).amax(1))
    return torch.stack(worst).amax(0)


def _sides(functions: Any, pair: list[Runs]) -> list[_Side]:
    """The run from above, then that from below. CheckError when both start on the same side of each other."""
    sides = []
    for run in pair:
        fourth, predicted = [], []
        for name in _scales(run):
            square, gradient = observable(run, f"square.{name}"), observable(run, f"gradient_square.{name}")
            fourth.append(square.square().flatten(2).sum(2) if square.ndim > 2 else square.square())
            product = square * gradient
            total = product.flatten(2).sum(2) if product.ndim > 2 else product
            predicted.append(formula(functions, f"{MECHANISM}_fourth_power")(total, *_numbers(run)))
        sides.append(_Side(torch.stack(fourth).sum(0).mT, torch.stack(predicted).sum(0).mT))
    sides.sort(key=lambda side: -float(side.fourth[:, 0].mean()))
    return sides


def _ratio(side: _Side, rate: float) -> Estimate:
    """Time average of r⁴ over its prediction, with the error over replicas of a ratio of means.

    Where the average still changes by δ over its T steps, the two sides of the balance differ by δ/(T rate): this is
    added to the error, since the statement is about a stationary state.
    """
    means = torch.stack([side.fourth.mean(1), side.predicted.mean(1)], dim=1)
    found = bootstrap(lambda rows: rows[:, 0].mean() / rows[:, 1].mean(), means, RESAMPLES)
    drift = 2 * float(_change(side.fourth).mean()) / (side.fourth.shape[1] * rate)
    return Estimate(found.value, float(np.hypot(found.standard_error, drift)), found.n)


def _change(series: Tensor) -> Tensor:
    """Change of each replica's average from the first to the second half, over the mean of all, (R,)."""
    half = series.shape[1] // 2
    return (series[:, half:].mean(1) - series[:, :half].mean(1)) / series.mean()


def _tail(side: _Side) -> float:
    """E‖ĝ‖⁴/(E‖ĝ‖²)² over time and replicas."""
    return float(side.predicted.square().mean() / side.predicted.mean() ** 2)


def _unsettled(side: _Side) -> list[str]:
    """Which time averages differ between the halves of the record."""
    found = []
    for what, series in (("r⁴", side.fourth), ("the mean square of r g", side.predicted)):
        change = _change(series)
        error = float(change.std()) / len(change) ** 0.5
        if not abs(float(change.mean())) <= max(DRIFT, DRIFT_Z * error):
            found.append(f"{what} has changed by {float(change.mean()):.0%} between the halves of the average")
    return found


def _relaxation(
    functions: Any, sides: list[_Side], rate: float, numbers: tuple[float, float]
) -> tuple[Estimate, float]:
    """Measured rate over the predicted one, and the sensitivity Δ(predicted r⁴)/Δ r⁴ that enters the prediction.

    A difference Δr⁴ that shrinks by a fraction ρ in each step has (first − last) = ρ Σ Δr⁴, also where it is noisy.
    """
    first, last = (round(span / rate) for span in SPAN)
    gap, kept = (above - below for above, below in zip(*sides, strict=True))
    inside = slice(first, last)
    values = torch.stack(
        [gap[:, first] - gap[:, last], gap[:, inside].sum(1), kept[:, inside].sum(1)],
        dim=1,
    )

    def sensitivity(rows: Tensor) -> Tensor:
        return rows[:, 2].mean() / rows[:, 1].mean()

    def ratio(rows: Tensor) -> Tensor:
        measured = rows[:, 0].mean() / rows[:, 1].mean()
        return measured / formula(functions, f"{MECHANISM}_rate")(sensitivity(rows), *numbers)

    return bootstrap(ratio, values, RESAMPLES), float(sensitivity(values))


def _trajectories(sides: list[_Side]) -> dict[str, Any]:
    """r⁴ of each replica over the mean prediction from the later half, (R, points), and the steps of the points."""
    length = sides[0].fourth.shape[1]
    level = torch.stack([side.predicted[:, length // 2 :].mean() for side in sides]).mean()
    stride = -(-length // POINTS)
    names = ("started above", "started below")
    return {
        "steps": torch.arange(0, length, stride),
        **{name: side.fourth[:, ::stride] / level for name, side in zip(names, sides, strict=True)},
    }
