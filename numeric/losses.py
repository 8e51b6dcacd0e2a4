"""Per-sample losses for ensembles: callables (prediction, batch) -> tensor of shape (R, B).

R is the number of replicas, B the batch size. Batch leaves are (R, B, ...), or (1, B, ...) where they are the same for
all replicas. The prediction is (R, *out) where the declared graph has no inputs (it is then the vector of coefficients)
and (R, B, *out) where it has. All losses are dimensionless. A loss of one's own is any callable with this signature.

The losses here know their derivative: `loss.value_and_derivative(prediction, batch)` gives the losses (R, B) and the
derivative of each replica's mean loss by its prediction, of the prediction's shape. A loss of one's own that has such
an attribute is trained without automatic differentiation; one that has none is differentiated automatically.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Loss = Callable[[Tensor, dict[str, Tensor]], Tensor]
ValueAndDerivative = Callable[[Tensor, dict[str, Tensor]], tuple[Tensor, Tensor]]


def with_derivative(value_and_derivative: ValueAndDerivative) -> Callable[[Loss], Loss]:
    """A decorator that hands a loss its derivative, so that it is trained without automatic differentiation."""

    def attach(loss: Loss) -> Loss:
        loss.value_and_derivative = value_and_derivative  # type: ignore[attr-defined]
        return loss

    return attach


def _linear_regression(prediction: Tensor, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    x = batch["x"]
    residual = _dot(x, prediction) - batch["y"]
    weights = residual / residual.shape[1]
    derivative = weights @ x[0] if _is_shared(x) else (weights.unsqueeze(1) @ x).squeeze(1)
    return 0.5 * residual.square(), derivative


@with_derivative(_linear_regression)
def linear_regression(prediction: Tensor, batch: dict[str, Tensor]) -> Tensor:
    """Half the squared residual of a linear model, ½ (x·w − y)².

    prediction: w, shape (R, d). batch: "x" of shape (R, B, d), "y" of shape (R, B). Returns (R, B).
    Raises KeyError if the batch lacks "x" or "y".
    """
    return 0.5 * (_dot(batch["x"], prediction) - batch["y"]).square()


def _coefficient_error(prediction: Tensor, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    residual = prediction.unsqueeze(1) - batch["y"]
    return _half_squares(residual), residual.mean(1)


@with_derivative(_coefficient_error)
def coefficient_error(prediction: Tensor, batch: dict[str, Tensor]) -> Tensor:
    """Half the squared distance between the coefficients themselves and the target, ½ ‖w − y‖².

    prediction: w, shape (R, *out). batch: "y" of shape (R, B, *out); for a scalar w = φ(θ) these are (R,) and
    (R, B). Returns (R, B), summed over the axes of one prediction. Raises KeyError if the batch lacks "y".
    """
    return squared_error(prediction.unsqueeze(1), batch)


def _squared_error(prediction: Tensor, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    residual = prediction - batch["y"]
    return _half_squares(residual), residual / residual.shape[1]


@with_derivative(_squared_error)
def squared_error(prediction: Tensor, batch: dict[str, Tensor]) -> Tensor:
    """Half the squared distance between a network's output and the target, ½ ‖f(x) − y‖².

    prediction: f(x), shape (R, B, *out). batch: "y" of shape (R, B, *out). Returns (R, B), summed over the axes of
    one output.
    Raises KeyError if the batch lacks "y".
    """
    return _half_squares(prediction - batch["y"])


def _half_squares(residual: Tensor) -> Tensor:
    half_squares = 0.5 * residual.square()
    return half_squares.flatten(2).sum(-1) if half_squares.ndim > 2 else half_squares


def _is_shared(x: Tensor) -> bool:
    """Whether a full batch is one matrix for all replicas: one matrix product then replaces R·B dot products."""
    return x.shape[0] == 1 or x.stride(0) == 0


def _dot(x: Tensor, w: Tensor) -> Tensor:
    """x·w for x (R, B, d) and w (R, d), shape (R, B)."""
    return w @ x[0].mT if _is_shared(x) else torch.linalg.vecdot(x, w.unsqueeze(1))
