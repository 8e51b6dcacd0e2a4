"""Models w = D c: the coordinates c, and the matrix D by which a prediction says that they are read out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from numeric.errors import CheckError
from numeric.training.model import Model, as_model

COORDINATES, READOUT = "coordinates", "readout"
"""Endings of the names of the two functions θ ↦ c and {COORDINATES: c} ↦ w; a prediction without them is about w."""


def has_readout(functions: Any, mechanism: str) -> bool:
    """Whether the prediction is about coordinates that a linear map reads out."""
    return hasattr(functions, f"{mechanism}_{READOUT}")


def coordinate_model(M: Any, functions: Any, mechanism: str) -> Model:
    """The model that gives c in place of w, without the constants that D is made of; M's own where there is no D."""
    model = as_model(M)
    if not has_readout(functions, mechanism):
        return model
    return replace(model, predictor=getattr(functions, f"{mechanism}_{COORDINATES}"), constants={}, fixed={})


def readout_matrix(functions: Any, mechanism: str, size: int, constants: Mapping[str, Tensor]) -> Tensor:
    """D, (p, d) float64 with d = size, by its values on the d unit vectors. CheckError where w is no vector."""
    unit = torch.eye(size, dtype=torch.float64)
    named = {name: value.to(torch.float64) for name, value in constants.items()}
    columns: Tensor = getattr(functions, f"{mechanism}_{READOUT}")({COORDINATES: unit}, **named)
    if columns.ndim != 2:
        raise CheckError(f"the readout gives an array of shape {tuple(columns.shape[1:])}: the check needs a vector")
    return columns.mT
