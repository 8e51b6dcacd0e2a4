"""Targets for a module that is trained to give a matrix: given singular values between random singular vectors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from numeric.errors import CheckError
from numeric.experiments.synthetic import UNBOUND
from numeric.training.model import Model
from numeric.training.shapes import bound_shape
from numeric.training.stream_seed import stream_seed


def matrix_shapes(model: Model) -> dict[str, tuple[int, ...]]:
    """Shapes of the parameters in numbers. SizeError for a size without a value, CheckError for inputs or constants."""
    if model.inputs or model.constants:
        raise CheckError(f"{model.name} has inputs or constants: the experiment is about a matrix of parameters alone")
    return {
        name: bound_shape(f"parameter {name!r} of {model.name}", shape, UNBOUND)
        for name, shape in model.parameters.items()
    }


def matrix_of(rows: int, columns: int, values: Sequence[float], seed: int) -> Tensor:
    """(rows, columns), float64, with these singular values."""
    generator = torch.Generator().manual_seed(stream_seed(seed, "singular vectors", 0, 0))
    left, right = (
        torch.linalg.qr(torch.randn(size, len(values), generator=generator, dtype=torch.float64))[0]
        for size in (rows, columns)
    )
    return (left * torch.tensor(values, dtype=torch.float64)) @ right.mT
