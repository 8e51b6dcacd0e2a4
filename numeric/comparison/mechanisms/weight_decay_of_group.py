"""Check of weight decay where a group acts on whole arrays: is the end point the smallest on its orbit?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from numeric.comparison.exact_law import ExactLaw
from numeric.comparison.mechanisms.combine import combine, undecided
from numeric.comparison.mechanisms.reading import (
    formula,
    observable,
    observed_point,
    require_settings,
    setting,
    step_size,
)
from numeric.comparison.verdict import Verdict
from numeric.errors import CheckError
from numeric.training.runs import Runs

MECHANISM = "weight_decay"
# Gradient descent that settles at a kink, as of a ReLU, keeps jumping over it, and that holds charges, see
# `held_by_oscillation`.
BALANCE = ExactLaw(tolerance=1e-3)
NORM = ExactLaw(tolerance=1e-6)  # quadratic in the charges that are left
FIBRE = ExactLaw(tolerance=1e-10)  # float64 rounding of a singular value decomposition
SETTLED = 0.1  # mean of |∇L + λθ| over the last steps, relative to λ‖θ‖
LEFT = 1e-6  # part of ‖θ‖² that charges of the start may still have: where units die the norm is linear in it
REMOVED = 1e-2  # relative part of ‖θ‖² that balancing must remove at the start, or the law says nothing there
ALIVE = 1e-6  # of ‖θ‖² at the start
HELD = 1e-3  # part of ‖θ‖² that an oscillation of the end point may hold in the charges

CRITERION = (
    f"at the end of training that has settled (mean of ∇L + λθ over the last records below {SETTLED:g} of λ‖θ‖) and "
    f"has forgotten its start (what (1 − ηλ)^2k leaves of its charges is below {LEFT:g} of ‖θ‖²) and does not "
    f"oscillate (η/2λ times the charges of ∇L + λθ at the last step below {HELD:g} of ‖θ‖²): "
    f"charges over ‖θ‖², {BALANCE.criterion}; where the smallest norm R has a closed form, (‖θ‖² − R)/‖θ‖², "
    f"{NORM.criterion}; and at the start, the predictor and the norm of the balanced point against the predictor of "
    f"the start and R, {FIBRE.criterion}, where R is below ‖θ‖² by {REMOVED:g} or more in some replica"
)


def weight_decay_of_group(functions: Any, runs: Sequence[Runs], data: Mapping[str, Tensor] | None = None) -> Verdict:
    """Training with weight decay λ ends at vanishing charges, where ‖θ‖² is the smallest of its orbit.

    Needs one Runs of gradient descent with constant steps and λ > 0, of any loss of the predictor, with the observable
    "point" recorded a few times and before the last step; and where R has a closed form, the observables "predictor"
    and "predictor_of_balanced" (1, R, …) of the start and of the balanced point on its orbit (numeric.experiments.
    weight_decay makes them). details: "charges", "norm" and "penalty" (R,), "start_norm", "start_penalty", "drift",
    "left", what decay alone leaves of the start's charges, and "held", what an oscillation holds in them. Raises
    CheckError where a record that is needed is missing.
    """
    if len(runs) != 1:
        raise CheckError(f"the check takes one Runs with several replicas, and {len(runs)} were given")
    (run,) = runs
    require_settings(run, zero=("momentum", "label_noise", "batch_size"), positive=("weight_decay",))
    norm_of = formula(functions, f"{MECHANISM}_norm")
    norm, start_norm = norm_of(run.final), norm_of(run.initial)
    charges = _relative_charges(functions, run.final, norm)
    left = _relative_charges(
        functions, run.initial, norm, (1 - step_size(run) * setting(run, "weight_decay")) ** run.config["steps"]
    )
    drift, held = _drift(run, norm), held_by_oscillation(functions, run)
    details: dict[str, Any] = {
        "charges": charges,
        "start_charges": _relative_charges(functions, run.initial, start_norm),
        "left": left,
        "held": held,
        "norm": norm,
        "start_norm": start_norm,
        "drift": drift,
    }
    reason = _unsettled(drift, left, held, norm, start_norm)
    if reason:
        return undecided(MECHANISM, CRITERION, reason, details, len(norm))
    parts = {"balance": BALANCE.judge(MECHANISM, charges)}
    if hasattr(functions, MECHANISM):
        penalty, start_penalty = functions.weight_decay(run.final), functions.weight_decay(run.initial)
        details |= {"penalty": penalty, "start_penalty": start_penalty}
        parts["norm"] = NORM.judge(MECHANISM, (norm - penalty) / norm)
        parts["fibre"] = FIBRE.judge(MECHANISM, _fibre(functions, run, start_penalty))
        removed = float(((start_norm - start_penalty) / start_norm).max())
        if parts["fibre"].verdict == "confirmed" and not removed >= REMOVED:
            reason = f"the start was smallest on its orbit already (a part {removed:.2g} removed): start elsewhere"
            return undecided(MECHANISM, CRITERION, reason, details, len(norm))
    return combine(parts, CRITERION, details)


def _relative_charges(functions: Any, point: Mapping[str, Tensor], norm: Tensor, kept: float = 1.0) -> Tensor:
    """The largest charge of each replica over ‖θ‖² = `norm`, (R,), a linear one over ‖θ‖; at `kept` times the point."""
    squared, root = norm / kept**2, norm.sqrt() / kept
    twice = formula(functions, f"{MECHANISM}_balance")({name: 2 * leaf for name, leaf in point.items()})
    found = []
    for name, charge in formula(functions, f"{MECHANISM}_balance")(point).items():
        linear = torch.allclose(twice[name], 2 * charge, rtol=1e-9, atol=0)
        found.append(charge.abs().reshape(len(norm), -1).amax(-1) / (root if linear else squared))
    return torch.stack(found).amax(0)


def held_by_oscillation(functions: Any, run: Runs) -> Tensor:
    """What an end point that oscillates, as at the edge of stability, holds in the charges against their decay, over
    ‖θ‖², (R,): η/2λ times the charge of g = ∇L + λθ at the last step, since a step of a quadratic charge is
    C' = (1 − 2ηλ) C + η² C(g).

    Raises CheckError where the point before the last step was not recorded.
    """
    if int(run.steps[-1]) != run.config["steps"] - 1:
        raise CheckError('the check needs "point" before the last step: record it at steps − 1 too (record_at)')
    eta, decay = step_size(run), setting(run, "weight_decay")
    before = observed_point(run, "point")
    gradient = {name: (before[name][-1] - leaf) / eta for name, leaf in run.final.items()}
    return (
        eta / (2 * decay) * _relative_charges(functions, gradient, formula(functions, f"{MECHANISM}_norm")(run.final))
    )


def _drift(run: Runs, norm: Tensor) -> Tensor:
    """|mean of ∇L + λθ| since the record before the last, over λ‖θ‖, (R,): what the parameters have moved, in units of
    ηλ‖θ‖."""
    if len(run.steps) < 2:
        raise CheckError('the check needs "point" a few times: record it more often')
    steps = run.config["steps"] - int(run.steps[-2])
    return _moved(run, -2) / (step_size(run) * steps * setting(run, "weight_decay") * norm.sqrt())


def _moved(run: Runs, record: int) -> Tensor:
    """‖θ − θ_record‖ at the end, (R,)."""
    point = observed_point(run, "point")
    squares = [
        (run.final[name] - leaf[record]).square().reshape(run.config["replicas"], -1).sum(-1)
        for name, leaf in point.items()
    ]
    return torch.stack(squares).sum(0).sqrt()


def _fibre(functions: Any, run: Runs, penalty: Tensor) -> Tensor:
    """Relative deviations at the balanced point of each start: of the predictor and of the norm, (2R,)."""
    expected, found = (observable(run, name)[0] for name in ("predictor", "predictor_of_balanced"))
    scale = expected.abs().max()
    predictor = (found - expected).abs().reshape(len(penalty), -1).amax(-1) / scale
    norm = formula(functions, f"{MECHANISM}_norm")(formula(functions, f"{MECHANISM}_balanced")(run.initial))
    return torch.cat([predictor, (norm - penalty) / penalty])


def _unsettled(drift: Tensor, left: Tensor, held: Tensor, norm: Tensor, start_norm: Tensor) -> str:
    if not bool((norm > ALIVE * start_norm).all()):
        return "decay has taken all parameters to zero: use a smaller weight decay"
    if not bool((left <= LEFT).all()):
        return f"decay has left {float(left.max()):.2g} of ‖θ‖² in the charges of the start: train longer"
    if not bool((held <= HELD).all()):
        return f"training ends in an oscillation, which holds {float(held.max()):.2g} of ‖θ‖² in charges: cut the step"
    largest = float(drift.max())
    return "" if largest <= SETTLED else f"training has not settled (relative drift {largest:.2g}): train longer"
