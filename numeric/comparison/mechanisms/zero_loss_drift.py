"""Check of the label-noise drift along the set of zero loss, for any model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

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
from numeric.comparison.verdict import Verdict
from numeric.errors import CheckError
from numeric.flat_points import flattened
from numeric.training.model import Model, Point
from numeric.training.runs import Runs
from numeric.zero_loss import zero_loss

MECHANISM = "label_noise"
RATIO = LeadingOrder(z_threshold=4.0, largest_error=0.1)
FITTED = 1e-10  # largest |φ − y| at the start, relative to the largest |y|
RETURNED = 1e-3  # the same at the ends of gradient descent, relative to the noise
DRIFTS = 1e-2  # length of the drift along the set, relative to that of the whole vector

ACROSS = 1e-3  # relative part of a parameter's drift beyond the other directions that makes it one of its own
LOSSES = ("numeric.losses.squared_error", "numeric.losses.coefficient_error")
CRITERION = (
    "from a point of zero loss, the mean displacement of the limits of noise-free gradient descent, along the "
    "predicted one, over that length; and along the directions across it that the drifts of single parameters span, "
    f"one plus the displacement over that length: {RATIO.criterion}"
)


def zero_loss_drift(functions: Any, runs: Sequence[Runs], data: Mapping[str, Tensor] | None = None) -> Verdict:
    """SGD with label noise displaces the solution by −(η²σ²/4) P ∇T a step, P the projection along zero loss.

    Needs three or more Runs of SGD with batch size 1 and label noise, of half the squared error, at different η, all
    replicas from one point that fits the data; the data with the constants of the model beside them, if it has any; and
    the observables "solution.<leaf>", (1, R, …), where noise-free gradient descent from the last point ends
    (numeric.experiments.zero_loss_drift makes them). details: "ratio" and "ratio_error" by η, "across": the
    mean displacement across over the predicted length, "change": mean change of T over the predicted one.
    """
    found = []
    for run in runs:
        _require(run)
        ends, reason = _displacements(functions, run, data)
        if ends is None:
            return undecided(MECHANISM, CRITERION, reason)
        found.append(ends)
    etas, replicas = [step_size(run) for run in runs], len(found[0].components)
    means = torch.stack([ends.components.mean(0) for ends in found])
    errors = torch.stack([ends.components.std(0) for ends in found]) / replicas**0.5
    parts = {}
    for place in range(min(ends.components.shape[1] for ends in found)):
        # Where nothing is predicted, one is added, so that every statement is about a ratio that tends to one.
        ratio = means[:, place] + (place > 0)
        label = "along the drift" if place == 0 else f"across it, direction {place}"
        parts[label] = RATIO.judge(MECHANISM, etas, ratio, errors[:, place], replicas)
    details = {
        "eta": etas,
        "ratio": means[:, 0],
        "ratio_error": errors[:, 0],
        "across": means[:, 1:],
        "change": [ends.change for ends in found],
    }
    return combine(parts, CRITERION, details)


class _Ends(NamedTuple):
    """components: displacement of every replica over the length of the predicted one, (R, p), along it and along
    directions across; change: mean change of T over the predicted one."""

    components: Tensor
    change: float


def _displacements(functions: Any, run: Runs, data: Mapping[str, Any] | None) -> tuple[_Ends | None, str]:
    model, start = complete_model_of(run, data), common_start(run)
    tensors = {**data_of(run, data, (*model.inputs, "y")), **model.fixed}
    found = zero_loss(model, start, tensors)
    scale = float(tensors["y"].abs().max())
    if not found.deviation <= FITTED * scale:
        return None, f"the start does not fit the data (deviation {found.deviation:.2g}): start from zero loss"
    noise, eta, steps = setting(run, "label_noise"), step_size(run), run.config["steps"]
    arguments = (*(tensors[name] for name in model.inputs), *(tensors[name] for name in model.constants))
    leaves = formula(functions, f"{MECHANISM}_drift")(start, *arguments, eta, noise)
    drift = flattened(leaves)
    predicted = steps * found.tangent @ (found.tangent.mT @ drift)
    length = float(predicted.norm())
    if not length > DRIFTS * steps * float(drift.norm()):
        return None, "the objective is stationary along zero loss at the start: nothing drifts, start elsewhere"
    ends = {name: leaf[0].to(torch.float64) for name, leaf in observed_point(run, "solution").items()}
    returned = _misfit(model, ends, tensors)
    if not returned <= RETURNED * noise:
        return None, f"gradient descent has not returned to zero loss (misfit {returned:.2g}): let it go on"
    moved = flattened(ends, 1) - flattened(start)
    components = moved @ _directions(found.tangent, predicted, leaves) / length
    trace = formula(functions, f"{MECHANISM}_trace")
    change = float((trace(ends, *arguments) - trace(start, *arguments)).mean())
    # By the formula itself, drift = −(η²σ²/4) ∇T, so that the slope of T along the displacement is known.
    slope = -4 / (eta**2 * noise**2) * float(drift @ predicted)
    return _Ends(components, change / slope), ""


def _directions(tangent: Tensor, predicted: Tensor, leaves: Point) -> Tensor:
    """Orthonormal columns (D, p): the predicted displacement, then what the drift of each parameter alone would add."""
    columns = [predicted / predicted.norm()]
    for name in list(leaves)[:-1]:
        alone = {other: leaf if other == name else torch.zeros_like(leaf) for other, leaf in leaves.items()}
        own = tangent @ (tangent.mT @ flattened(alone))
        rest = own
        for _ in range(2):  # twice is enough for orthogonality to rounding
            for column in columns:
                rest = rest - column * (column @ rest)
        if float(rest.norm()) > ACROSS * float(own.norm()):
            columns.append(rest / rest.norm())
    return torch.stack(columns, dim=-1)


def _require(run: Runs) -> None:
    require_settings(run, zero=("momentum", "weight_decay"), positive=("label_noise",))
    if setting(run, "batch_size") != 1:
        raise CheckError("the prediction is about one sample a step: train with batch_size=1")
    if run.config["loss"] not in LOSSES:
        raise CheckError(f"the prediction is about {' or '.join(LOSSES)}, and the run used {run.config['loss']}")


def _misfit(model: Model, ends: Point, data: Mapping[str, Tensor]) -> float:
    inputs = {name: data[name].unsqueeze(0) for name in model.inputs}
    value = model.predict(ends, inputs)
    target = data["y"] if model.inputs else data["y"][0]
    return float((value - target).abs().max())
