"""Linear regression with the same exact solutions and equally steep directions."""

from __future__ import annotations

import math

from torch import Tensor

from numeric.errors import DataError
from numeric.row_space import relative_misfit, row_space

CONSISTENT = 1e-8  # relative distance of y from the range of x that is still rounding


def orthonormal_rows(x: Tensor, y: Tensor) -> dict[str, Tensor]:
    """Data {"x": √r A, "y": √r b} whose rows A are an orthonormal basis of the row space of x, r its rank.

    x: (n, d), y: (n,), result (r, d) and (r,), dimensionless. {w : A w = b} is exactly {w : x w = y}, and the mean
    squared-error loss is ½ ‖A w − b‖². What changes is how steep the loss is: the directions of the row space,
    whose curvatures in x can differ by orders of magnitude, all get curvature one. So a statement about *which*
    solution training reaches keeps its meaning and is reached sooner. Two things are not those of x: the path
    to the solution, and label noise, which now has equal strength along A's rows rather than on the samples, so
    that its penalty carries the column weights of A.

    Raises DataError if no w solves x w = y.
    """
    rows, target = row_space(x, y)
    if relative_misfit(x, y, rows.mT @ target) > CONSISTENT:
        raise DataError("no w solves x w = y: take fewer rows or more features, so that the rows can be fitted")
    scale = math.sqrt(len(rows))
    return {"x": scale * rows.contiguous(), "y": scale * target}
