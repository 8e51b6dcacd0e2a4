"""Check of the discrete Noether law on every step of real runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from numeric.comparison.exact_law import ExactLaw
from numeric.comparison.mechanisms.combine import undecided
from numeric.comparison.mechanisms.reading import formula, observed_point, require_settings, setting, step_size
from numeric.comparison.verdict import Verdict
from numeric.errors import CheckError
from numeric.training.runs import Runs

MECHANISM = "discrete_noether"
LAW = ExactLaw(tolerance=1e-10, n=2_000)


def discrete_noether(functions: Any, runs: Sequence[Runs], data: Mapping[str, Tensor] | None = None) -> Verdict:
    """C' = (1 − ηλ)² C + η² C(g) on every recorded step: largest residual relative to the sum of absolute terms.

    Needs SGD or gradient descent without momentum with the observables "point" and "gradient" recorded at every
    step (numeric.experiments.observables). Several runs, with and without weight decay, are pooled: one residual
    a step, the largest over replicas, charges and coordinates. Criterion: ExactLaw(1e-10) over 2,000 or more
    steps. Inconclusive if no charge moved by more than the tolerance: then the law was not put to the test.
    """
    residuals: dict[str, Tensor] = {}
    moved = 0.0
    for run in runs:
        residual, largest = _residuals(functions, run)
        residuals[_label(run, residuals)] = residual
        moved = max(moved, largest)
    details = {
        "steps": torch.arange(max(map(len, residuals.values()))),
        "residual": residuals,
        "largest_change": moved,
    }
    verdict = LAW.judge(MECHANISM, torch.cat(list(residuals.values())))
    if verdict.verdict == "confirmed" and not moved > LAW.tolerance:
        return undecided(MECHANISM, LAW.criterion, "no charge moved: use a larger step", details, verdict.n)
    verdict.details.update(details)
    return verdict


def _residuals(functions: Any, runs: Runs) -> tuple[Tensor, float]:
    """Largest relative residual of each step (T,), and the largest relative change of a charge."""
    require_settings(runs, zero=("momentum",))
    if not torch.equal(runs.steps, torch.arange(runs.config["steps"])):
        raise CheckError("the check needs point and gradient of every step: train with record_every=1")
    point, gradient = observed_point(runs, "point"), observed_point(runs, "gradient")
    after = {name: torch.cat([leaf[1:], runs.final[name].unsqueeze(0)]) for name, leaf in point.items()}
    eta, decay = step_size(runs), setting(runs, "weight_decay")
    predicted = formula(functions, MECHANISM)(point, gradient, eta, decay)
    scale = formula(functions, f"{MECHANISM}_scale")(point, gradient, eta, decay)
    charges = formula(functions, f"{MECHANISM}_charges")
    before, measured = charges(point), charges(after)
    residuals = [_relative(measured[name] - predicted[name], scale[name]) for name in measured]
    changes = [_relative(measured[name] - before[name], scale[name]) for name in measured]
    return _worst(residuals), float(_worst(changes).max())


def _relative(difference: Tensor, scale: Tensor) -> Tensor:
    """|difference| / scale; where the scale is zero, all terms vanish and so must the difference."""
    return torch.where(difference == 0, torch.zeros_like(difference), difference.abs() / scale)


def _worst(terms: list[Tensor]) -> Tensor:
    """The largest of each step over charges, replicas and coordinates; NaN if any is NaN."""
    return torch.stack([term.flatten(1).amax(1) for term in terms]).amax(0)


def _label(runs: Runs, taken: Mapping[str, Tensor]) -> str:
    label = f"λ = {setting(runs, 'weight_decay'):g}"
    return label if label not in taken else f"{label}, run {len(taken) + 1}"
