"""Values of the fixed arrays that a model declares beside its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from numeric.errors import DataError
from numeric.training.model import Model
from numeric.training.shapes import bind_shape


def fix_constants(
    model: Model,
    constants: Mapping[str, Any] | None,
    sizes: Mapping[str, int],
    dtype: torch.dtype,
    device: torch.device,
) -> tuple[Model, dict[str, int]]:
    """The model with a value (*shape) for every constant, in `dtype` on `device`; `sizes` with those bound here.

    Raises DataError for a missing or unknown name and for NaN or infinity, SizeError for another shape.
    """
    given = dict(constants or {})
    if set(given) != set(model.constants):
        declared = f"constants {', '.join(model.constants)}" if model.constants else "no constants"
        remedy = "pass constants={name: array} with just these" if model.constants else "drop them"
        raise DataError(f"the constants given are {sorted(given)}, but {model.name} has {declared}: {remedy}")
    fixed, bound = {}, dict(sizes)
    for name, shape in model.constants.items():
        value = torch.as_tensor(given[name]).detach().to(device=device, dtype=dtype)
        bound = bind_shape(f"constants[{name!r}]", shape, tuple(value.shape), bound)
        if not bool(torch.isfinite(value).all()):
            raise DataError(f"constants[{name!r}] holds NaN or infinity: pass finite numbers")
        fixed[name] = value
    return replace(model, fixed=fixed), bound
