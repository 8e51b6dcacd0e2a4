"""Linear regression with the same exact solutions and equally steep directions."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from numeric.errors import DataError
from numeric.row_space import RANK, relative_misfit, row_space

CONSISTENT = 1e-8  # relative distance of y from the range of x that is still rounding


def orthonormal_rows(x: Tensor, y: Tensor, readout: Tensor | None = None) -> dict[str, Tensor]:
    """Data {"x": √r A, "y": √r b} whose rows A are an orthonormal basis of the row space of x, r its rank.

    x: (n, d), y: (n,), result (r, d) and (r,), dimensionless. {w : A w = b} is exactly {w : x w = y}, and the mean
    squared-error loss is ½ ‖A w − b‖². What changes is how steep the loss is: the directions of the row space,
    whose curvatures in x can differ by orders of magnitude, all get curvature one. So a statement about *which*
    solution training reaches keeps its meaning and is reached sooner. Two things are not those of x: the path
    to the solution, and label noise, which now has equal strength along A's rows rather than on the samples, so
    that its penalty carries the column weights of A.

    readout: D, (d, c), where the coefficients to be found are those of w = D c: then A D, of the row space of x D,
    has orthonormal rows, and {c : A D c = b} is {c : x D c = y}.

    Raises DataError if no w solves x w = y.
    """
    if readout is not None:
        features = x @ readout
        combined = orthonormal_rows(features, y)
        mixing = combined["x"] @ torch.linalg.pinv(features, rtol=RANK)
        return {"x": mixing @ x, "y": combined["y"]}
    rows, target = row_space(x, y)
    if relative_misfit(x, y, rows.mT @ target) > CONSISTENT:
        raise DataError("no w solves x w = y: take fewer rows or more features, so that the rows can be fitted")
    scale = math.sqrt(len(rows))
    return {"x": scale * rows.contiguous(), "y": scale * target}
