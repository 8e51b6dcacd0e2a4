"""The nonzero entries of a metric, checked once at the border."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import sympy as sp

from symtheory.errors import MetricError
from symtheory.geometry.vanishes import vanishes

Entries = dict[tuple[int, int], sp.Expr]


def metric_entries(metric: sp.MatrixBase, coordinates: Sequence[sp.Symbol]) -> Entries:
    """Nonzero upper-triangular entries {(i, j): g_ij, i <= j} of an N×N metric in N coordinates.

    Raises MetricError when the matrix is not N×N, not symmetric, or a coordinate is named twice.
    """
    size = len(coordinates)
    if metric.shape != (size, size):
        raise MetricError(f"the metric is {metric.rows}×{metric.cols} for {size} coordinates: pass one row each")
    if len(set(coordinates)) != size:
        raise MetricError("a coordinate is named twice: give every coordinate its own symbol")
    nonzero = metric.todok()
    for (i, j), value in nonzero.items():
        mirrored = nonzero.get((j, i), sp.S.Zero)
        if i < j and not vanishes(value - mirrored):
            raise MetricError(f"the metric is not symmetric: entries ({i}, {j}) and ({j}, {i}) differ")
        if i > j and (j, i) not in nonzero and not vanishes(value):
            raise MetricError(f"the metric is not symmetric: entries ({j}, {i}) and ({i}, {j}) differ")
    return {(i, j): sp.sympify(value) for (i, j), value in nonzero.items() if i <= j}


def singular_block(names: Iterable[sp.Symbol]) -> MetricError:
    """The error of a metric that has no inverse in the coordinates named."""
    listed = ", ".join(map(str, names))
    return MetricError(f"the metric is singular in {listed}: it has no connection, choose 'invariant' or 'mixed'")
