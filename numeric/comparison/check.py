"""The verdict of runs on a prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from numeric.comparison.mechanisms import CHECKS
from numeric.comparison.mechanisms.combine import undecided
from numeric.comparison.verdict import Verdict
from numeric.errors import CheckError
from numeric.training.runs import Runs


class Checkable(Protocol):
    """What a check needs of a prediction: its mechanism, and its formulas as torch functions."""

    @property
    def mechanism(self) -> str: ...

    def load(self) -> Any: ...


def check(prediction: Checkable, runs: Runs | Sequence[Runs], data: Mapping[str, Any] | None = None) -> Verdict:
    """Judge `prediction` by `runs`, with the criterion that the mechanism's file fixes beforehand.

    runs: one or several results of `numeric.train` of the same model. data: what they were trained on, needed by all
    mechanisms but discrete_noether, and beside it the values of the model's constants by name. All settings and
    observables are read from the runs, so that the same runs can judge another prediction. What must have been recorded
    stands with each function in numeric.comparison.mechanisms. Diverged runs decide nothing.

    Raises CheckError for an unknown mechanism, and where runs, data and prediction lack something or do not belong
    together.
    """
    if prediction.mechanism not in CHECKS:
        raise CheckError(f"there is no check for {prediction.mechanism!r}; known are {', '.join(CHECKS)}")
    several = [runs] if isinstance(runs, Runs) else list(runs)
    _belong_together(prediction, several)
    diverged = [run.diverged_at for run in several if run.diverged_at is not None]
    if diverged:
        return undecided(prediction.mechanism, "runs that diverged decide nothing", f"diverged at step {diverged[0]}")
    return CHECKS[prediction.mechanism](prediction.load(), several, data)


def _belong_together(prediction: Checkable, runs: Sequence[Runs]) -> None:
    if not runs:
        raise CheckError("there are no runs to check: train first")
    models = {(run.config["model"], run.config["declaration_hash"]) for run in runs}
    if len(models) > 1:
        raise CheckError(f"the runs are of different models: {', '.join(sorted(name for name, _ in models))}")
    ((model, _),) = models
    declared = getattr(prediction, "parametrization", model)
    if declared != model:
        raise CheckError(f"the prediction is about {declared!r} and the runs are of {model!r}: check matching ones")
