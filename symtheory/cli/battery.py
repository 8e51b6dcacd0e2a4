"""Derive, train, check: one experiment per prediction."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symtheory.cli.reasons import by_reason
from symtheory.cli.sizes import with_sizes
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


@dataclass(frozen=True)
class Trainable:
    """A parametrization as it is trained, and the values of its free sizes that were given or chosen for that.

    Where it gives a vector of linear coefficients of free length, the data tell that length.
    """

    parametrization: Parametrization
    sizes: Mapping[str, int]


def trainable(parametrization: Parametrization, sizes: Mapping[str, int], mechanisms: Sequence[str] = ()) -> Trainable:
    """The parametrization with the sizes given, and small ones for the others where it is trained on its own data.

    mechanisms: those to be checked, all that apply when none is named. Raises ``DerivationError`` for one
    that does not exist, ``DeclarationError`` and ``ShapeError`` for sizes as ``with_sizes`` does.
    """
    require_known(mechanisms)
    any_graph = _train_anything(mechanisms)
    if _gives_coefficients(parametrization) or (parametrization.is_elementwise and not any_graph):
        return Trainable(parametrization.bind(**sizes) if sizes else parametrization, sizes)
    if _reads_coefficients_out(parametrization) and not any_graph:
        return Trainable(parametrization.bind(**sizes) if sizes else parametrization, sizes)
    return Trainable(*with_sizes(parametrization, sizes))


def _gives_coefficients(parametrization: Parametrization) -> bool:
    """Whether it acts coordinate by coordinate and gives a vector, as linear regression needs."""
    return parametrization.is_elementwise and len(parametrization.predictor.shape) == 1


def _reads_coefficients_out(parametrization: Parametrization) -> bool:
    """Whether it maps a vector of coordinates linearly to a vector, as linear regression needs too."""
    readout = parametrization.readout
    return readout is not None and len(readout.inner.predictor.shape) == len(parametrization.predictor.shape) == 1


def _train_anything(mechanisms: Sequence[str]) -> bool:
    """Whether all that are named are about graphs of any shape, on data of their own."""
    if not mechanisms:
        return False
    from numeric import experiments

    return set(mechanisms) <= set(experiments.ANY_SHAPE)


def require_known(mechanisms: Sequence[str]) -> None:
    """Raises ``DerivationError`` for a mechanism that does not exist."""
    unknown = [mechanism for mechanism in mechanisms if mechanism not in MECHANISMS]
    if unknown:
        raise DerivationError(f"there is no mechanism '{unknown[0]}': choose from {', '.join(MECHANISMS)}")


def choose(parametrization: Parametrization, mechanisms: Sequence[str]) -> list[Prediction]:
    """The predictions asked for, all when none is named.

    Raises ``DerivationError`` for a mechanism that does not exist or does not apply, and for a graph without any
    prediction, each with the reason.
    """
    require_known(mechanisms)
    try:
        predictions = parametrization.predictions()
    except CalculusError as error:
        raise DerivationError(f"'{parametrization.name}' has no prediction to check: {error}") from error
    if not predictions:
        reasons = "; ".join(
            f"{', '.join(names)}: {reason}" for reason, names in by_reason(predictions.not_applicable).items()
        )
        raise DerivationError(f"no prediction applies to '{parametrization.name}': {reasons}")
    return [predictions[mechanism] for mechanism in dict.fromkeys(mechanisms or predictions)]


def choose_applicable(parametrization: Parametrization, mechanisms: Sequence[str]) -> list[Prediction]:
    """As ``choose``, but without those of the mechanisms named that do not apply."""
    require_known(mechanisms)
    applicable = [mechanism for mechanism in mechanisms if mechanism in parametrization.predictions()]
    return choose(parametrization, applicable) if applicable or not mechanisms else []


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
    trained: Trainable,
    predictions: Sequence[Prediction],
    folder: Path | None,
    *,
    device: str,
    seed: int,
) -> Iterator[Checked]:
    """Train and check each prediction; runs are saved below ``folder`` if given.

    Linear coefficients are trained on the diabetes regression, anything else on synthetic data of its own, which its
    verdict then says, with the sizes.
    """
    import torch

    from numeric import datasets, experiments
    from numeric.device import resolve
    from symtheory.generation import generate

    parametrization = trained.parametrization
    target = resolve(device)
    if target.type == "cpu":
        torch.set_num_threads(1)  # batches of replicas are small: a second thread costs more than it brings
    needs_regression = any(p.mechanism not in experiments.WITHOUT_DATA for p in predictions)
    if _gives_coefficients(parametrization) or (parametrization.is_elementwise and needs_regression):
        data, sizes = datasets.diabetes(), None
        _require_size(parametrization, data["x"].shape[1])
    elif _reads_coefficients_out(parametrization) and needs_regression:
        data = datasets.diabetes()
        sizes = {str(size): data["x"].shape[1] for size in parametrization.free_sizes}
        parametrization = parametrization.bind(**sizes)
    else:
        data, sizes = None, dict(trained.sizes)
    module = generate(parametrization).load()
    for prediction in predictions:
        place = None if folder is None else folder / parametrization.name / prediction.mechanism / "runs"
        own = sizes is not None and prediction.mechanism in experiments.WITHOUT_DATA
        origin = {"data": "synthetic", "sizes": sizes} if own else {}
        # What is read out to no vector cannot be trained on a regression either, and its verdict says why.
        regression = data or (None if prediction.mechanism in experiments.WITHOUT_DATA else datasets.diabetes())
        decision = experiments.decide(prediction, module, regression, folder=place, seed=seed, device=target)
        verdict = replace(decision.verdict, details={**decision.verdict.details, **origin})
        yield Checked(prediction, replace(decision, verdict=verdict))
