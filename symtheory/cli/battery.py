"""Derive, train, check: one experiment per prediction."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symtheory.errors import CalculusError, DerivationError, OutputError, ShapeError
from symtheory.graph.shapes import show
from symtheory.parametrization import Parametrization
from symtheory.predictions.prediction import Prediction
from symtheory.predictions.predictions import MECHANISMS

if TYPE_CHECKING:
    from numeric.experiments import Decision


@dataclass(frozen=True)
class Checked:
    """A prediction with the decision that real runs made on it."""

    prediction: Prediction
    decision: Decision

    @property
    def record(self) -> dict[str, Any]:
        """The verdict as JSON, with the parametrization's name."""
        return {"parametrization": self.prediction.parametrization, **self.decision.verdict.to_json()}


def choose(parametrization: Parametrization, mechanisms: Sequence[str]) -> list[Prediction]:
    """The predictions asked for, all when none is named.

    Raises ``DerivationError`` for a mechanism that does not exist or does not apply, and for a graph without any
    prediction, each with the reason.
    """
    unknown = [mechanism for mechanism in mechanisms if mechanism not in MECHANISMS]
    if unknown:
        raise DerivationError(f"there is no mechanism '{unknown[0]}': choose from {', '.join(MECHANISMS)}")
    try:
        predictions = parametrization.predictions()
    except CalculusError as error:
        raise DerivationError(f"'{parametrization.name}' has no prediction to check: {error}") from error
    if not predictions:
        reasons = "; ".join(f"{mechanism}: {reason}" for mechanism, reason in predictions.not_applicable.items())
        raise DerivationError(f"no prediction applies to '{parametrization.name}': {reasons}")
    return [predictions[mechanism] for mechanism in dict.fromkeys(mechanisms or predictions)]


def writable_folder(folder: Path) -> Path:
    """The folder, made if absent. Raises ``OutputError`` before anything is trained when nothing can be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(
            f"cannot write into {folder}: {error.strerror}; choose another folder with --output"
        ) from None
    return folder


def _require_size(parametrization: Parametrization, columns: int) -> None:
    """The experiments train one coefficient for each column of the data."""
    for name, shape in parametrization.parameters.items():
        if len(shape) != 1 or (shape[0].is_Integer and shape[0] != columns):
            raise ShapeError(
                f"parameter '{name}' of '{parametrization.name}' has shape {show(shape)}: the experiments train one "
                f"coefficient for each of the {columns} columns of the data; declare shape (d,) with d = st.dims('d')"
            )


def run_battery(
    parametrization: Parametrization,
    predictions: Sequence[Prediction],
    folder: Path | None,
    *,
    device: str,
    seed: int,
) -> Iterator[Checked]:
    """Train and check each prediction on the diabetes regression; runs are saved below ``folder`` if given."""
    import torch

    from numeric import datasets, experiments
    from numeric.device import resolve
    from symtheory.generation import generate

    target = resolve(device)
    if target.type == "cpu":
        torch.set_num_threads(1)  # batches of replicas are small: a second thread costs more than it brings
    data = datasets.diabetes()
    _require_size(parametrization, data["x"].shape[1])
    module = generate(parametrization).load()
    for prediction in predictions:
        place = None if folder is None else folder / parametrization.name / prediction.mechanism / "runs"
        decision = experiments.decide(prediction, module, data, folder=place, seed=seed, device=target)
        yield Checked(prediction, decision)
