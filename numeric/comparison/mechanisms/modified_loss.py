"""Check of the modified loss: end points of gradient descent, and the mean of an epoch of SGD."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from math import comb
from typing import Any, NamedTuple

import torch
from torch import Tensor

from numeric.comparison.convergence_order import ConvergenceOrder
from numeric.comparison.estimate import Estimate
from numeric.comparison.flow import distance, flow
from numeric.comparison.kinks import bend
from numeric.comparison.leading_order import LeadingOrder
from numeric.comparison.mechanisms.combine import combine, undecided
from numeric.comparison.mechanisms.reading import (
    data_of,
    formula,
    loss_of,
    model_of,
    observed_point,
    require_settings,
    step_size,
)
from numeric.comparison.statistics import replica_mean
from numeric.comparison.verdict import Verdict
from numeric.errors import CheckError
from numeric.training.model import Point
from numeric.training.runs import Runs

MECHANISM = "modified_loss"
ORDERS = {"flow of L": 1, "flow of the modified loss": 2, "with the next term": 3}
EPOCH = LeadingOrder(z_threshold=4)
SUBSTEPS, EPOCH_SUBSTEPS = 32, 8
SMOOTH = 0.01  # difference between the flow and that with half as many substeps, over the smallest deviation from it
MOST_BATCHES = 1_000
PROBED, BENT = 1_024, 0.25
"""Replicas whose epoch is looked at for kinks, and the bend of the gradient on its way from which there is one."""

CRITERION = (
    "distance of the end point of gradient descent at a fixed time from the flow of L, of the modified loss, and with "
    "the next term: "
    + "; ".join(ConvergenceOrder(order).criterion for order in ORDERS.values())
    + f"; from those starts for which {SUBSTEPS} and {SUBSTEPS // 2} substeps of the flow agree to {SMOOTH:g} of the "
    "smallest deviation, so that no kink is on the way. Mean of one epoch, without the part linear in η, along what "
    f"the modified loss adds, over that, for shuffled and for independent batches: {EPOCH.criterion}; inconclusive if "
    f"the gradient of the full loss bends by more than {BENT:g} of its change on the way of one of {PROBED:,} replicas"
)


def modified_loss(functions: Any, runs: Sequence[Runs], data: Mapping[str, Tensor] | None = None) -> Verdict:
    """Gradient descent follows the flow of L + (η/4)‖∇L‖² to order η²; the mean epoch that of its own modified loss.

    Needs three or more runs of gradient descent to one time η·steps from common starts, and three or more of one epoch
    of SGD from one point, shuffled as well as with replacement, with the observable "start_gradient" at every step
    (numeric.experiments.modified_loss); a loss of numeric.losses, no momentum, weight decay or label noise. details:
    "eta" (k,) and "deviation" by flow (k,), "smooth" starts; "epoch_eta", "ratio", "error" and "bend" by kind of epoch,
    and "rival", the verdict on the modified loss of the other kind.
    """
    for run in runs:
        require_settings(run, zero=("momentum", "weight_decay", "label_noise"))
    descents = sorted((run for run in runs if _batch_size(run) is None), key=step_size, reverse=True)
    parts, details = _descent(functions, descents, data)
    details |= {"ratio": {}, "error": {}, "rival": {}, "bend": {}}
    for label, replacement in (("shuffled epoch", False), ("epoch with replacement", True)):
        epochs = [
            run for run in runs if _batch_size(run) and run.config["optimizer"].get("replacement", True) == replacement
        ]
        epochs.sort(key=step_size, reverse=True)
        if not epochs:
            raise CheckError(f"the check needs runs of one {label}: train them with numeric.SGD(replacement=…)")
        found = [_epoch(functions, run, data) for run in epochs]
        own, rival = ([shares[kind] for shares in found] for kind in (replacement, not replacement))
        etas = [step_size(run) for run in epochs]
        bends = [_bend(functions, run, data) for run in epochs]
        parts[label] = _kinked(bends) or _judge(etas, own)
        details["epoch_eta"] = etas
        details["ratio"][label] = [found.value for found in own]
        details["error"][label] = [found.standard_error for found in own]
        details["rival"][label] = _judge(etas, rival).to_json()
        details["bend"][label] = [float(found.max()) for found in bends]
    return combine(parts, CRITERION, details)


def _judge(etas: list[float], found: list[Estimate]) -> Verdict:
    values, errors = [e.value for e in found], [e.standard_error for e in found]
    if not all(error > 0 for error in errors):
        return undecided(MECHANISM, EPOCH.criterion, "the mean of an epoch has no error: its batches do not differ")
    return EPOCH.judge(MECHANISM, etas, values, errors, found[0].n)


def _kinked(bends: list[Tensor]) -> Verdict | None:
    """What is said where epochs cross a kink; None where they do not."""
    share = max(float((found > BENT).double().mean()) for found in bends)
    reason = f"{share:.1%} of the epochs cross a kink of the loss: start elsewhere or use smaller steps"
    return undecided(MECHANISM, EPOCH.criterion, reason) if share else None


class _Losses(NamedTuple):
    """Loss functions of a point with leaves (R, *shape): full (R,), of all batches (batches, R)."""

    full: Callable[[Point], Tensor]
    batches: Callable[[Point], Tensor]


def _losses(run: Runs, data: Mapping[str, Tensor] | None, size: int) -> _Losses:
    model = model_of(run)
    tensors, loss = data_of(run, data, tuple(run.config["data"])), loss_of(run)
    samples = len(next(iter(tensors.values())))
    if comb(samples, size) > MOST_BATCHES:
        raise CheckError(f"{samples} samples have {comb(samples, size)} batches of {size}: use fewer samples")
    members = torch.zeros(comb(samples, size), samples, dtype=torch.float64)
    for row, batch in zip(members, combinations(range(samples), size), strict=True):
        row[list(batch)] = 1 / size

    def each(point: Point) -> Tensor:
        replicas = len(next(iter(point.values())))
        batch = {key: leaf.expand(replicas, *leaf.shape) for key, leaf in tensors.items()}
        return loss(model.predict(point, batch), batch)

    return _Losses(lambda point: each(point).mean(-1), lambda point: members @ each(point).mT)


def _descent(
    functions: Any, runs: list[Runs], data: Mapping[str, Tensor] | None
) -> tuple[dict[str, Verdict], dict[str, Any]]:
    """The three orders of convergence, over the starts whose way is smooth."""
    if len({round(step_size(run) * run.config["steps"], 9) for run in runs}) != 1:
        raise CheckError("the check needs runs of gradient descent to one common time eta * steps")
    full = _losses(runs[0], data, 1).full
    etas = torch.tensor([step_size(run) for run in runs], dtype=torch.float64)
    time = float(etas[0]) * runs[0].config["steps"]
    start = {name: leaf.to(torch.float64) for name, leaf in runs[0].initial.items()}
    starts = {name: leaf.expand(len(runs), *leaf.shape).clone() for name, leaf in start.items()}
    ends = {name: torch.stack([run.final[name] for run in runs]).to(torch.float64) for name in start}
    law, second = formula(functions, f"{MECHANISM}_field"), formula(functions, f"{MECHANISM}_second_order")
    plain = flow(lambda point: law(full, point, 0.0), start, time, SUBSTEPS)
    modified, coarse = (_flows(full, law, etas, starts, time, count) for count in (SUBSTEPS, SUBSTEPS // 2))
    further = _flows(full, second, etas, starts, time, SUBSTEPS)
    found = ({name: leaf.expand_as(starts[name]) for name, leaf in plain.items()}, modified, further)
    deviations = {name: distance(ends, flowed) for name, flowed in zip(ORDERS, found, strict=True)}
    roughness = distance(modified, coarse)
    smallest = torch.stack(list(deviations.values())).amin(dim=(0, 1))
    smooth = roughness.amax(0) <= SMOOTH * smallest
    details: dict[str, Any] = {"eta": etas, "smooth": int(smooth.sum())}
    if not bool(smooth.any()):
        reason = "the loss is not smooth on the way from any start (a kink, or too large a time): use a shorter time"
        return {name: undecided(MECHANISM, CRITERION, reason) for name in ORDERS}, details
    mean = {name: found[:, smooth].square().mean(1).sqrt() for name, found in deviations.items()}
    details["deviation"] = mean
    return {
        name: ConvergenceOrder(order).judge(MECHANISM, etas, mean[name], n=int(smooth.sum()) * len(runs))
        for name, order in ORDERS.items()
    }, details


def _flows(
    full: Callable[[Point], Tensor], velocity: Any, etas: Tensor, start: Point, time: float, count: int
) -> Point:
    """End points (k, R, *shape) of the flows for every η of (k,), all at once."""
    batched = torch.func.vmap(lambda point, eta: velocity(full, point, eta))
    return flow(lambda point: batched(point, etas), start, time, count)


def _epoch(functions: Any, run: Runs, data: Mapping[str, Tensor] | None) -> dict[bool, Estimate]:
    """Mean over replicas of what an epoch adds to the flow of L, along what a modified loss adds to it, over that.

    True: the modified loss of batches with replacement; False: that of a shuffled epoch.
    """
    eta, steps = step_size(run), run.config["steps"]
    losses = _losses(run, data, _batch_size(run) or 1)
    start = {name: leaf[:1].to(torch.float64) for name, leaf in run.initial.items()}
    plain, shuffled = (formula(functions, f"{MECHANISM}_{name}") for name in ("field", "shuffled_field"))
    time = eta * steps
    unmodified = flow(lambda point: plain(losses.full, point, 0.0), start, time, EPOCH_SUBSTEPS)
    modified = {
        True: flow(lambda point: plain(losses.full, point, eta), start, time, EPOCH_SUBSTEPS),
        False: flow(lambda point: shuffled(losses.batches, point, eta), start, time, EPOCH_SUBSTEPS),
    }
    slope, recorded = plain(losses.full, start, 0.0), observed_point(run, "start_gradient")
    # The part linear in η is known step by step, and its mean is that of the flow: only its noise is lost.
    second = {
        name: leaf + eta * recorded[name].sum(0) - (unmodified[name] - time * slope[name])
        for name, leaf in run.final.items()
    }
    return {
        replacement: _share(second, {name: leaf - unmodified[name] for name, leaf in flowed.items()})
        for replacement, flowed in modified.items()
    }


def _bend(functions: Any, run: Runs, data: Mapping[str, Tensor] | None) -> Tensor:
    """Bend of the full gradient between start and end of the epoch, of the first replicas, (R,)."""
    start, end = (
        {name: leaf[:PROBED].to(torch.float64) for name, leaf in point.items()} for point in (run.initial, run.final)
    )
    full, plain = _losses(run, data, 1).full, formula(functions, f"{MECHANISM}_field")
    return bend(lambda point: plain(full, point, 0.0), start, end)


def _share(found: Point, added: Point) -> Estimate:
    """Mean over replicas of ⟨found, added⟩/‖added‖², leaves (R, *shape) and (1, *shape)."""
    products = [(leaf * added[name]).reshape(len(leaf), -1).sum(1) for name, leaf in found.items()]
    along = torch.stack(products).sum(0)
    square = sum(float(leaf.square().sum()) for leaf in added.values())
    return replica_mean(along / square) if square > 0 else Estimate(float("nan"), float("nan"), len(along))


def _batch_size(run: Runs) -> int | None:
    return run.config["optimizer"].get("batch_size")
