"""All samples of a user's data as one batch in memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from numeric.errors import DataError
from numeric.sharpness.batch import is_single_batch, make_batch
from numeric.sharpness.border import UNFIT


def whole_batch(data: Any) -> tuple[Any, Any]:
    """(inputs, target) of all samples: of one batch, or of an iterable of batches, joined.

    Raises DataError for data that cannot be gone through, no batch, and batches that do not have one form.
    """
    try:
        items = [data] if is_single_batch(data) else list(data)
    except UNFIT as error:
        raise DataError(
            f"the data cannot be gone through ({type(error).__name__}: {error}): give (inputs, target), or a list or "
            "DataLoader of such batches"
        ) from error
    batches = [make_batch(item) for item in items]
    if not batches:
        raise DataError("the data hold no batch: pass at least one")
    flat = [pytree.tree_flatten((batch.inputs, batch.target)) for batch in batches]
    form = flat[0][1]
    if any(other != form for _, other in flat):
        raise DataError("the batches of the data have different forms: give all of them the same tensors")
    columns = zip(*(parts for parts, _ in flat), strict=True)
    try:
        joined = [torch.cat(list(column)) if isinstance(column[0], Tensor) else column[0] for column in columns]
    except RuntimeError as error:
        raise DataError(f"the batches of the data differ in more than their length: {error}") from error
    inputs, target = pytree.tree_unflatten(joined, form)
    return inputs, target
