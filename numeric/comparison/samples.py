"""The border of the comparison layer: tensors, arrays and lists become float64 arrays here, once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from numeric.errors import CheckError

Samples = torch.Tensor | NDArray[np.floating] | Sequence[float] | Sequence[Sequence[float]]
FloatArray = NDArray[np.float64]


def as_array(values: Samples, name: str, dimensions: tuple[int, ...] = (1,)) -> FloatArray:
    """`values` in float64 on the CPU; CheckError when the number of axes is not one of `dimensions`."""
    if isinstance(values, torch.Tensor):
        values = values.detach().to(device="cpu", dtype=torch.float64).numpy()
    array = np.asarray(values, dtype=np.float64)
    if array.ndim not in dimensions:
        allowed = " or ".join(str(d) for d in dimensions)
        raise CheckError(f"{name} has shape {array.shape}; give an array with {allowed} axes")
    return array


def same_length(**arrays: FloatArray) -> None:
    """CheckError when the named one-dimensional arrays differ in length."""
    if len({len(array) for array in arrays.values()}) > 1:
        lengths = ", ".join(f"{name} has {len(array)}" for name, array in arrays.items())
        raise CheckError(f"one value per point is needed, but {lengths}")
