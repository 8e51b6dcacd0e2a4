"""Check of the label-noise drift along the set of zero loss, for any model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from numeric.comparison.leading_order import LeadingOrder
from numeric.comparison.mechanisms.combine import undecided
from numeric.comparison.mechanisms.reading import (
    data_of,
    formula,
    observed_point,
    require_settings,
    setting,
    step_size,
)
from numeric.comparison.verdict import Verdict
from numeric.errors import CheckError
from numeric.training.configuration import tensors_record
from numeric.training.model import Model, Point, as_model
from numeric.training.runs import Runs
from numeric.zero_loss import flattened, zero_loss

MECHANISM = "label_noise"
RATIO = LeadingOrder(z_threshold=4.0, largest_error=0.1)
FITTED = 1e-10  # largest |φ − y| at the start, relative to the largest |y|
RETURNED = 1e-3  # the same at the ends of gradient descent, relative to the noise
DRIFTS = 1e-2  # length of the drift along the set, relative to that of the whole vector

LOSSES = ("numeric.losses.squared_error", "numeric.losses.coefficient_error")
CRITERION = (
    "from a point of zero loss, the mean displacement of the limits of noise-free gradient descent, along the "
    f"predicted one, over that length: {RATIO.criterion}"
)


def zero_loss_drift(functions: Any, runs: Sequence[Runs], data: Mapping[str, Tensor] | None = None) -> Verdict:
    """SGD with label noise displaces the solution by −(η²σ²/4) P ∇T a step, P the projection along zero loss.

    Needs three or more Runs of SGD with batch size 1 and label noise, of half the squared error, at different η, all
    replicas from one point that fits the data; the data with the constants of the model beside them, if it has any; and
    the observables "solution.<leaf>", (1, R, …), where noise-free gradient descent from the last point ends
    (numeric.experiments.zero_loss_drift makes them). details: "ratio" and "ratio_error" by η, "across": length of the
    rest of the mean displacement over that of the predicted one, "change": mean change of T over the predicted one.
    """
    etas, ratios, errors, across, changes = [], [], [], [], []
    replicas = 0
    for run in runs:
        _require(run)
        ends, reason = _displacements(functions, run, data)
        if ends is None:
            return undecided(MECHANISM, CRITERION, reason, {}, replicas)
        replicas = len(ends.along)
        etas.append(step_size(run))
        ratios.append(float(ends.along.mean()))
        errors.append(float(ends.along.std()) / replicas**0.5)
        across.append(ends.across)
        changes.append(ends.change)
    verdict = RATIO.judge(MECHANISM, etas, ratios, errors, replicas)
    verdict.details.update({"across": across, "change": changes})
    return replace(verdict, criterion=CRITERION)


class _Ends:
    """along: displacement of every replica along the predicted one over its length, (R,); across, change: see above."""

    def __init__(self, along: Tensor, across: float, change: float) -> None:
        self.along, self.across, self.change = along, across, change


def _displacements(functions: Any, run: Runs, data: Mapping[str, Any] | None) -> tuple[_Ends | None, str]:
    model, tensors = _model_and_data(run, data)
    start = {name: leaf[0].to(torch.float64) for name, leaf in run.initial.items()}
    if any(not torch.equal(leaf, leaf[:1].expand_as(leaf)) for leaf in run.initial.values()):
        raise CheckError("the replicas must start from one point: pass leaves without a replica axis as initial")
    found = zero_loss(model, start, tensors)
    scale = float(tensors["y"].abs().max())
    if not found.deviation <= FITTED * scale:
        return None, f"the start does not fit the data (deviation {found.deviation:.2g}): start from zero loss"
    noise, eta, steps = setting(run, "label_noise"), step_size(run), run.config["steps"]
    arguments = (*(tensors[name] for name in model.inputs), *(tensors[name] for name in model.constants))
    drift = flattened(formula(functions, f"{MECHANISM}_drift")(start, *arguments, eta, noise), 0)
    predicted = steps * found.tangent @ (found.tangent.mT @ drift)
    length = float(predicted.norm())
    if not length > DRIFTS * steps * float(drift.norm()):
        return None, "the objective is stationary along zero loss at the start: nothing drifts, start elsewhere"
    ends = {name: leaf[0].to(torch.float64) for name, leaf in observed_point(run, "solution").items()}
    returned = _misfit(model, ends, tensors)
    if not returned <= RETURNED * noise:
        return None, f"gradient descent has not returned to zero loss (misfit {returned:.2g}): let it go on"
    moved = flattened(ends, 1) - flattened(start, 0)
    unit = predicted / length
    along, mean = moved @ unit, moved.mean(0)
    trace = formula(functions, f"{MECHANISM}_trace")
    change = float((trace(ends, *arguments) - trace(start, *arguments)).mean())
    # By the formula itself, drift = −(η²σ²/4) ∇T, so that the slope of T along the displacement is known.
    slope = -4 / (eta**2 * noise**2) * float(drift @ predicted)
    return _Ends(along / length, float((mean - unit * (mean @ unit)).norm()) / length, change / slope), ""


def _require(run: Runs) -> None:
    require_settings(run, zero=("momentum", "weight_decay"), positive=("label_noise",))
    if setting(run, "batch_size") != 1:
        raise CheckError("the prediction is about one sample a step: train with batch_size=1")
    if run.config["loss"] not in LOSSES:
        raise CheckError(f"the prediction is about {' or '.join(LOSSES)}, and the run used {run.config['loss']}")
    if run.module is None:
        raise CheckError("the runs carry no module: read them with Runs.load(folder, module)")


def _model_and_data(run: Runs, data: Mapping[str, Any] | None) -> tuple[Model, dict[str, Tensor]]:
    model = as_model(run.module)
    tensors = data_of(run, data, (*model.inputs, "y"))
    constants = {name: torch.as_tensor((data or {}).get(name, torch.nan)).to(torch.float64) for name in model.constants}
    if constants and tensors_record(constants) != run.config["constants"]:
        raise CheckError(
            f"the data lack the constants {', '.join(constants)} of the run: pass their values beside them"
        )
    return replace(model, fixed=constants), {**tensors, **constants}


def _misfit(model: Model, ends: Point, data: Mapping[str, Tensor]) -> float:
    inputs = {name: data[name].unsqueeze(0) for name in model.inputs}
    value = model.predict(ends, inputs)
    target = data["y"] if model.inputs else data["y"][0]
    return float((value - target).abs().max())
