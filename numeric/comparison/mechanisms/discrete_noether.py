"""Check of the discrete Noether law on every step of real runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

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

    For a linear charge the law is C' = (1 − ηλ) C. Needs SGD or gradient descent without momentum with the observables
    "point" and "gradient" recorded at every step (numeric.experiments.observables). Several runs, with and without
    weight decay, are pooled: one residual a step, the largest over replicas, charges and their entries. Criterion:
    ExactLaw(1e-10) over 2,000 or more steps. Inconclusive if some charge never moved by more than the tolerance: then
    its law was not put to the test. details["gradient_term"]: for each charge the largest |η² C(g)|, relative as the
    residuals are, which is what a wrong term of this order would leave; 0 for a linear charge.
    """
    residuals: dict[str, Tensor] = {}
    moved: dict[str, float] = {}
    gradient_term: dict[str, float] = {}
    for run in runs:
        steps = _steps_of(functions, run)
        residuals[_label(run, residuals)] = _worst(list(steps.residual.values()))
        _raise_to(moved, steps.change)
        _raise_to(gradient_term, steps.gradient_term)
    details = {
        "steps": torch.arange(max(map(len, residuals.values()))),
        "residual": residuals,
        "largest_change": max(moved.values()),
        "gradient_term": gradient_term,
    }
    verdict = LAW.judge(MECHANISM, torch.cat(list(residuals.values())))
    still = [name for name, change in moved.items() if not change > LAW.tolerance]
    if verdict.verdict == "confirmed" and still:
        what = "no charge moved" if len(still) == len(moved) else f"the charge {still[0]} did not move"
        return undecided(MECHANISM, LAW.criterion, f"{what}: use a larger step", details, verdict.n)
    verdict.details.update(details)
    return verdict


class _Steps(NamedTuple):
    """For each charge, relative to the sum of the absolute terms of its law, tensors (T, R, ...): the residual, the
    change, and the term η² C(g)."""

    residual: dict[str, Tensor]
    change: dict[str, Tensor]
    gradient_term: dict[str, Tensor]


def _steps_of(functions: Any, runs: Runs) -> _Steps:
    require_settings(runs, zero=("momentum",))
    if not torch.equal(runs.steps, torch.arange(runs.config["steps"])):
        raise CheckError("the check needs point and gradient of every step: train with record_every=1")
    point, gradient = observed_point(runs, "point"), observed_point(runs, "gradient")
    after = {name: torch.cat([leaf[1:], runs.final[name].unsqueeze(0)]) for name, leaf in point.items()}
    eta, decay = step_size(runs), setting(runs, "weight_decay")
    law, charges = formula(functions, MECHANISM), formula(functions, f"{MECHANISM}_charges")
    predicted, without_decay = law(point, gradient, eta, decay), law(point, gradient, eta, 0.0)
    scale = formula(functions, f"{MECHANISM}_scale")(point, gradient, eta, decay)
    before, measured = charges(point), charges(after)

    def relative(left: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: _relative(left[name] - right[name], scale[name]) for name in measured}

    return _Steps(relative(measured, predicted), relative(measured, before), relative(without_decay, before))


def _raise_to(largest: dict[str, float], terms: Mapping[str, Tensor]) -> None:
    """The largest entry of each term so far, in place."""
    for name, term in terms.items():
        largest[name] = max(largest.get(name, 0.0), float(term.max()))


def _relative(difference: Tensor, scale: Tensor) -> Tensor:
    """|difference| / scale; where the scale is zero, all terms vanish and so must the difference."""
    return torch.where(difference == 0, torch.zeros_like(difference), difference.abs() / scale)


def _worst(terms: list[Tensor]) -> Tensor:
    """The largest of each step over charges, replicas and coordinates; NaN if any is NaN."""
    return torch.stack([term.flatten(1).amax(1) for term in terms]).amax(0)


def _label(runs: Runs, taken: Mapping[str, Tensor]) -> str:
    label = f"λ = {setting(runs, 'weight_decay'):g}"
    return label if label not in taken else f"{label}, run {len(taken) + 1}"
