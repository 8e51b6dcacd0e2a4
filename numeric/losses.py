"""Per-sample losses for ensembles: callables (prediction, batch) -> tensor of shape (R, B).

R is the number of replicas, B the batch size. Batch leaves are (R, B, ...). The prediction is (R, *out) where
the declared graph has no inputs (it is then the vector of coefficients) and (R, B, *out) where it has. All
losses are dimensionless. A loss of one's own is any callable with this signature.
"""

from __future__ import annotations

import torch
from torch import Tensor


def linear_regression(prediction: Tensor, batch: dict[str, Tensor]) -> Tensor:
    """Half the squared residual of a linear model, ½ (x·w − y)².

    prediction: w, shape (R, d). batch: "x" of shape (R, B, d), "y" of shape (R, B). Returns (R, B).
    Raises KeyError if the batch lacks "x" or "y".
    """
    return 0.5 * (_dot(batch["x"], prediction) - batch["y"]).square()


def coefficient_error(prediction: Tensor, batch: dict[str, Tensor]) -> Tensor:
    """Half the squared distance between the coefficients themselves and the target, ½ ‖w − y‖².

    prediction: w, shape (R, *out). batch: "y" of shape (R, B, *out); for a scalar w = φ(θ) these are (R,) and
    (R, B). Returns (R, B), summed over the axes of one prediction. Raises KeyError if the batch lacks "y".
    """
    return squared_error(prediction.unsqueeze(1), batch)


def squared_error(prediction: Tensor, batch: dict[str, Tensor]) -> Tensor:
    """Half the squared distance between a network's output and the target, ½ ‖f(x) − y‖².

    prediction: f(x), shape (R, B, *out). batch: "y" of shape (R, B, *out). Returns (R, B), summed over the axes of
    one output.
    Raises KeyError if the batch lacks "y".
    """
    half_squares = 0.5 * (prediction - batch["y"]).square()
    return half_squares.flatten(2).sum(-1) if half_squares.ndim > 2 else half_squares


def _dot(x: Tensor, w: Tensor) -> Tensor:
    """x·w for x (R, B, d) and w (R, d), shape (R, B)."""
    if x.stride(0) == 0 and x.shape[0] > 1:
        # A full batch is one matrix expanded over the replicas: one matrix product replaces R·B dot products.
        return w @ x[0].mT
    return torch.linalg.vecdot(x, w.unsqueeze(1))
