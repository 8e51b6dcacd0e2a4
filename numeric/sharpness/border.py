"""What a loss must be before its sharpness is measured: finite, deterministic, and a mean over samples."""

from __future__ import annotations

import torch
from torch import Tensor

from numeric.errors import SharpnessError
from numeric.sharpness.batch import Batch
from numeric.sharpness.objective import Objective

# Rounding of two ways of summing one batch, in units of the dtype's epsilon: sums of a few thousand terms through a
# few dozen layers stay far below; a sum in place of a mean is off by the number of samples.
ROUNDING = 1e4
# Samples on which two evaluations and two halves are compared: as telling as the whole batch, and almost free.
TRIED = 32

UNFIT = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What modules and losses raise that are given what they were not written for."""


def check_border(objective: Objective) -> None:
    """Try the loss on the first batch, and on a few of its samples twice more.

    Raises SharpnessError for a batch that model or loss cannot take, a loss that is no scalar, not finite, differs
    between two evaluations (dropout), or is not the mean over the samples of a batch (a sum; batch statistics).
    """
    batch = next(objective.batches())
    with torch.no_grad():
        whole = _first_loss(objective, batch)
        if not bool(torch.isfinite(whole)):
            raise SharpnessError(
                f"the loss is {whole.item()} on the first batch: check the model's parameters and the data"
            )
        few = batch.select(slice(0, min(TRIED, batch.size)))
        part = _loss(objective, few)
        _check_same(part, _loss(objective, few), objective.dtype)
        if few.size > 1:
            _check_mean(objective, few, part)


def _first_loss(objective: Objective, batch: Batch) -> Tensor:
    """The loss of the first batch; what the user's model and loss raise there, in one line."""
    try:
        output = objective.output(objective.parameters, batch)
    except UNFIT as error:
        raise SharpnessError(f"the model cannot take the first batch: {type(error).__name__}: {error}") from error
    try:
        loss = objective.loss(output, batch.target)
    except UNFIT as error:
        raise SharpnessError(
            f"the loss cannot take the model's output and the target: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(loss, Tensor) or loss.ndim:
        found = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else f"type {type(loss).__name__}"
        raise SharpnessError(f"the loss has {found}: return its mean over the samples, a scalar tensor")
    return loss


def _check_same(first: Tensor, second: Tensor, dtype: torch.dtype) -> None:
    if not agree(first, second, dtype):
        raise SharpnessError(
            f"two evaluations of one batch give {first.item():.6g} and {second.item():.6g}: "
            "call model.eval() (dropout), or fix the loss's random numbers"
        )


def _check_mean(objective: Objective, batch: Batch, whole: Tensor) -> None:
    half = batch.size // 2
    parts = (batch.select(slice(0, half)), batch.select(slice(half, None)))
    mean = torch.stack([_loss(objective, part) * part.size for part in parts]).sum() / batch.size
    if not agree(whole, mean, objective.dtype):
        raise SharpnessError(
            f"the loss of a batch is {whole.item():.6g}, the mean of its two halves {mean.item():.6g}: it is not a "
            "mean over samples; use reduction='mean', and model.eval() where the model normalizes over the batch or "
            "drops units"
        )


def _loss(objective: Objective, batch: Batch) -> Tensor:
    return objective.loss(objective.output(objective.parameters, batch), batch.target)


def agree(left: Tensor, right: Tensor, dtype: torch.dtype) -> bool:
    """Whether two losses, scalars, differ by no more than what the order of summation does in this dtype."""
    scale = max(abs(left.item()), abs(right.item()), torch.finfo(dtype).tiny)
    return abs(left.item() - right.item()) <= ROUNDING * torch.finfo(dtype).eps * scale
