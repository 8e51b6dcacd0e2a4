"""What is computed for every sample by itself: mapped over the samples by torch, or one after another."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from numeric.errors import SharpnessError
from numeric.sharpness.border import UNFIT
from numeric.sharpness.objective import Objective
from numeric.sharpness.second_order import math_attention


def mapped_or_single(objective: Objective, mapped: Callable[[], Tensor], single: Callable[[], Tensor]) -> Tensor:
    """`mapped()`; where torch cannot map over the samples of this model `single()`, and the result's notes say so.

    mapped, single: the same rows, the first under torch.func.vmap. torch has no one error for what it cannot map (an
    operation without a batching rule, a branch on a sample's numbers, a custom autograd function). Whether an error is
    of that kind is therefore tried: the same samples are taken one at a time, and an error of the model's own comes
    again. Raises SharpnessError with it.
    """
    try:
        with math_attention():  # the fused kernels have no rule for mapping over samples
            return mapped()
    except (RuntimeError, ValueError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
    try:
        found = single()
    except UNFIT as error:
        raise SharpnessError(
            f"the model or the loss fails on single samples: {type(error).__name__}: {error}"
        ) from error
    objective.remark(f"torch cannot map over the samples of this model: they were taken one at a time ({reason})")
    return found
