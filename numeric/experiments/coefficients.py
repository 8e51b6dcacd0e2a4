"""Which coefficients a regression trains: those of the data's columns, or coordinates that are read out to them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from numeric.datasets.orthonormal_rows import orthonormal_rows
from numeric.errors import CheckError
from numeric.experiments.start import elementwise_model
from numeric.linear_readout import coordinate_model, has_readout, readout_matrix
from numeric.row_space import row_space
from numeric.training.model import Model, as_model
from numeric.training.shapes import Shape
from numeric.training.stream_seed import stream_seed


@dataclass(frozen=True)
class Coefficients:
    """model: gives the d = `size` coordinates c, each from the entries of its own; matrix: D, (p, d), with w = D c for
    the p columns of the data, None where w = c; constants: the values that D is made of."""

    model: Model
    size: int
    constants: dict[str, Tensor]
    matrix: Tensor | None

    def features(self, x: Tensor) -> Tensor:
        """x D, (n, d), the features of the coordinates."""
        return x if self.matrix is None else x @ self.matrix

    def regression(self, data: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`orthonormal_rows` of the features x D; behind a readout the target is rescaled, so that the smallest
        solution in c is as long as the smallest one in w was: settings in units of it then mean the same.
        """
        x, y = data["x"], data["y"]
        regression = orthonormal_rows(x, y, self.matrix)
        if self.matrix is None:
            return regression
        lengths = [_smallest_solution(features, y) for features in (x, self.features(x))]
        return {"x": regression["x"], "y": regression["y"] * lengths[0] / lengths[1]}


def coefficients(module: Any, functions: Any, mechanism: str, columns: int, seed: int) -> Coefficients:
    """The coefficients of data with p = `columns`; free sizes of a graph with a readout are all p.

    Constants are drawn by `seed`: ± a number between ½ and 3/2, over √p, so that no coordinate is all but switched off
    by a factor of its own. Raises CheckError where the leaves are no vectors, where the graph has inputs, and where the
    readout does not give p numbers.
    """
    if not has_readout(functions, mechanism):
        return Coefficients(elementwise_model(module, columns), columns, {}, None)
    model, declared = coordinate_model(module, functions, mechanism), as_model(module)
    if {"x", "y"} & set(declared.constants):
        raise CheckError(f"{declared.name} has a constant 'x' or 'y', as the data are called: rename it")
    (shape, *_) = model.parameters.values()
    if len(shape) != 1 or model.inputs:
        raise CheckError(f"{model.name} has parameters of shape {shape}: the experiment needs vectors, and no inputs")
    (size,) = _bound(shape, columns)
    generator = torch.Generator().manual_seed(stream_seed(seed, "constants of a readout", 0, 0))
    constants = {
        name: _draw(_bound(entry, columns), generator) / math.sqrt(columns)
        for name, entry in declared.constants.items()
    }
    matrix = readout_matrix(functions, mechanism, size, constants)
    if len(matrix) != columns:
        raise CheckError(f"{model.name} gives {len(matrix)} coefficients, and the data have {columns} columns")
    return Coefficients(model, size, constants, matrix)


def _smallest_solution(x: Tensor, y: Tensor) -> float:
    """‖w‖ of the smallest w with x w = y."""
    return float(torch.linalg.vector_norm(row_space(x, y)[1]))


def _draw(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    sizes = 0.5 + torch.rand(shape, generator=generator, dtype=torch.float64)
    return sizes * (2 * torch.randint(2, shape, generator=generator) - 1)


def _bound(shape: Shape, columns: int) -> tuple[int, ...]:
    return tuple(columns if isinstance(size, str) else size for size in shape)
