"""The border that training data cross once: finite, of equal length, of one dtype, on one device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from numeric.errors import DataError
from numeric.training.model import Model
from numeric.training.shapes import bind_shape


def prepare_data(data: Mapping[str, Any], dtype: torch.dtype | None, device: torch.device) -> dict[str, Tensor]:
    """Return the data as tensors (n, ...) on `device`, floating leaves in one dtype.

    dtype None takes the widest floating dtype among the leaves, or torch's default if all are integers.
    Raises DataError for no data, a leaf without samples, unequal lengths, or a NaN or infinity (names key and
    row).
    """
    leaves = {key: torch.as_tensor(value) for key, value in data.items()}
    _check_lengths(leaves)
    for key, leaf in leaves.items():
        _check_finite(key, leaf)
    floating = floating_dtype(leaves, dtype)
    return {
        key: leaf.to(device=device, dtype=floating if leaf.is_floating_point() else leaf.dtype).contiguous()
        for key, leaf in leaves.items()
    }


def floating_dtype(leaves: Mapping[str, Tensor], dtype: torch.dtype | None) -> torch.dtype:
    """`dtype` if given, else the widest floating dtype among the leaves, else torch's default."""
    if dtype is not None:
        return dtype
    found = [leaf.dtype for leaf in leaves.values() if leaf.is_floating_point()]
    if not found:
        return torch.get_default_dtype()
    widest = found[0]
    for other in found[1:]:
        widest = torch.promote_types(widest, other)
    return widest


def bind_inputs(model: Model, data: Mapping[str, Tensor], sizes: Mapping[str, int]) -> None:
    """Check that the data hold every declared input in its declared shape.

    Raises DataError for a missing key, SizeError for another shape (both name the input).
    """
    bound = dict(sizes)
    for name, shape in model.inputs.items():
        if name not in data:
            raise DataError(f"the data lack {name!r}, an input of {model.name}: they hold {sorted(data)}")
        bound = bind_shape(f"one sample of data[{name!r}]", shape, tuple(data[name].shape[1:]), bound)


def _check_lengths(leaves: Mapping[str, Tensor]) -> None:
    if not leaves:
        raise DataError("there are no data: pass at least one tensor with samples along its first axis")
    for key, leaf in leaves.items():
        if leaf.ndim == 0 or len(leaf) == 0:
            raise DataError(f"data[{key!r}] has shape {tuple(leaf.shape)}: it needs samples along its first axis")
    lengths = {key: len(leaf) for key, leaf in leaves.items()}
    if len(set(lengths.values())) > 1:
        named = ", ".join(f"{key} {length}" for key, length in lengths.items())
        raise DataError(f"the data have unequal numbers of samples ({named}): every key needs the same")


def _check_finite(key: str, leaf: Tensor) -> None:
    if not leaf.is_floating_point() or bool(torch.isfinite(leaf).all()):
        return
    bad = ~torch.isfinite(leaf).reshape(len(leaf), -1).all(dim=1)
    row = int(bad.nonzero()[0])
    raise DataError(f"data[{key!r}] holds NaN or infinity, first in row {row}: remove or impute such rows")
