"""What checks read from runs and data; everything that is missing or does not fit becomes a CheckError."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from numeric import losses
from numeric.errors import CheckError
from numeric.linear_readout import coordinate_model, has_readout, readout_matrix
from numeric.training.configuration import tensors_record
from numeric.training.model import Model, Point, as_model
from numeric.training.program import Loss
from numeric.training.runs import Runs


def step_size(runs: Runs) -> float:
    """The constant η of a run. CheckError for a schedule."""
    rate = runs.config["optimizer"]["lr"]
    if not isinstance(rate, int | float):
        raise CheckError(f"the check needs a constant step size, and lr was {rate}: train with lr=<number>")
    return float(rate)


def setting(runs: Runs, name: str) -> float:
    """A numeric option of the run's optimizer; 0 where the optimizer does not have it."""
    return float(runs.config["optimizer"].get(name) or 0.0)


def require_settings(runs: Runs, *, zero: Sequence[str] = (), positive: Sequence[str] = ()) -> None:
    """CheckError unless the run is (stochastic) gradient descent with these options zero or positive."""
    name = runs.config["optimizer"]["name"]
    if name not in ("SGD", "GradientDescent"):
        raise CheckError(f"the prediction is about SGD or gradient descent, and the run used {name}")
    for option in zero:
        if setting(runs, option) != 0:
            raise CheckError(f"the prediction assumes {option} = 0, and the run had {setting(runs, option):g}")
    for option in positive:
        if setting(runs, option) <= 0:
            raise CheckError(f"the prediction is about {option} > 0, and the run had none")


def observable(runs: Runs, name: str) -> Tensor:
    """A recorded observable, (T, R, ...). CheckError when it was not recorded."""
    if name not in runs.observables:
        recorded = ", ".join(sorted(runs.observables)) or "nothing"
        raise CheckError(f"the check needs the observable {name!r}, and the run recorded {recorded}")
    return runs.observables[name]


def observed_point(runs: Runs, name: str) -> dict[str, Tensor]:
    """The observable `name` that is a point or gradient: leaves (T, R, *shape)."""
    return {leaf: observable(runs, f"{name}.{leaf}") for leaf in runs.initial}


def model_of(runs: Runs) -> Model:
    """The model that was trained, without values of its constants. CheckError for runs without a module."""
    if runs.module is None:
        raise CheckError("the runs carry no module: read them with Runs.load(folder, module)")
    return as_model(runs.module)


def complete_model_of(runs: Runs, data: Mapping[str, Any] | None) -> Model:
    """The model with the values of its constants, float64, which stand among the data by name.

    CheckError for runs without a module, and for constants that are missing or not those of the run.
    """
    return replace(model_of(runs), fixed=_constants_of(runs, data))


def common_start(runs: Runs) -> Point:
    """The one point where all replicas start, leaves (*shape) float64. CheckError where they start at several."""
    if any(not torch.equal(leaf, leaf[:1].expand_as(leaf)) for leaf in runs.initial.values()):
        raise CheckError("the replicas start at different points: pass one point, leaves without a replica axis")
    return {name: leaf[0].to(torch.float64) for name, leaf in runs.initial.items()}


def predictor_at_end(runs: Runs) -> Tensor:
    """w = φ(θ) at the end of training, (R, d) float64. CheckError without module or with another shape."""
    return _coefficients_at_end(model_of(runs), runs)


def coordinates_at_end(functions: Any, mechanism: str, runs: Runs) -> Tensor:
    """The coordinates at the end of training, (R, d) float64: w = φ(θ), or c where the prediction says w = D c.

    CheckError without module or with another shape.
    """
    return _coefficients_at_end(coordinate_model(model_of(runs).module, functions, mechanism), runs)


def _coefficients_at_end(model: Model, runs: Runs) -> Tensor:
    if model.inputs:
        raise CheckError(f"{model.name} has inputs {sorted(model.inputs)}: the check is about linear coefficients")
    if model.constants:
        raise CheckError(f"{model.name} has constants {sorted(model.constants)}: the check is about w = φ(θ) alone")
    coefficients = model.predictor(runs.final).to(torch.float64)
    if coefficients.ndim != 2:
        shape = tuple(coefficients.shape)
        raise CheckError(f"the coefficients have shape {shape}: the check needs (replicas, coefficients)")
    return coefficients


def data_of(runs: Runs, data: Mapping[str, Any] | None, keys: Sequence[str]) -> dict[str, Tensor]:
    """The training data in float64, checked to be those of the run. CheckError otherwise."""
    if data is None:
        raise CheckError("the check needs the training data: call check(prediction, runs, data)")
    return _recorded(runs.config["data"], data, keys)


def _constants_of(runs: Runs, data: Mapping[str, Any] | None) -> dict[str, Tensor]:
    """Values of the model's constants in float64, checked to be those of the run."""
    recorded = runs.config.get("constants", {})
    return _recorded(recorded, data or {}, tuple(recorded))


def _recorded(recorded: Mapping[str, Any], data: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Tensor]:
    """Tensors in float64, checked by the digests of the run's record."""
    tensors: dict[str, Tensor] = {}
    for key in keys:
        if key not in data:
            raise CheckError(f"the check needs data[{key!r}], and the data hold {sorted(data)}")
        leaf = torch.as_tensor(data[key]).detach().cpu()
        expected = recorded.get(key)
        if expected is None or tensors_record({key: _cast(leaf, expected["dtype"])})[key] != expected:
            raise CheckError(f"data[{key!r}] is not what the runs were trained on: pass the same data to both")
        tensors[key] = leaf.to(torch.float64)
    return tensors


def plain_regression_of(runs: Runs, data: Mapping[str, Any] | None) -> tuple[Tensor, Tensor]:
    """(x, y) of shapes (n, d), (n,) of a linear regression. CheckError for other shapes."""
    tensors = data_of(runs, data, ("x", "y"))
    x, y = tensors["x"], tensors["y"]
    if x.ndim != 2 or y.ndim != 1:
        raise CheckError(f"x {tuple(x.shape)} and y {tuple(y.shape)} are no linear regression: (n, d) and (n,) are")
    return x, y


def regression_of(functions: Any, mechanism: str, runs: Runs, data: Mapping[str, Any] | None) -> tuple[Tensor, Tensor]:
    """(x, y) of shapes (n, d), (n,) of the linear regression whose coefficients are the coordinates: x is the data's,
    times D where the prediction says w = D c.

    data: besides x and y the values of the model's constants. CheckError for other shapes.
    """
    x, y = plain_regression_of(runs, data)
    if not has_readout(functions, mechanism):
        return x, y
    size = next(iter(runs.final.values())).shape[-1]
    matrix = readout_matrix(functions, mechanism, size, _constants_of(runs, data))
    if len(matrix) != x.shape[1]:
        raise CheckError(f"the readout gives {len(matrix)} coefficients and x has {x.shape[1]} columns")
    return x @ matrix, y


def loss_of(runs: Runs) -> Loss:
    """The per-sample loss that the run was trained on. CheckError when it is none of numeric.losses."""
    module, _, name = runs.config["loss"].rpartition(".")
    if module != losses.__name__ or not hasattr(losses, name):
        raise CheckError(f"the check needs a loss of numeric.losses, and the run used {runs.config['loss']}")
    return getattr(losses, name)


def formula(functions: Any, name: str) -> Any:
    """A function of the prediction. CheckError when the prediction does not have it."""
    if not hasattr(functions, name):
        raise CheckError(f"the prediction has no formula {name!r}: it does not belong to this mechanism")
    return getattr(functions, name)


def _cast(leaf: Tensor, dtype: str) -> Tensor:
    return leaf.to(getattr(torch, dtype)) if leaf.is_floating_point() else leaf
