"""Whether the Gram matrices that a metric inverts have full rank at a generic point of the sizes given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sympy as sp

from symtheory.geometry.matrix.block_metric import BlockMetric
from symtheory.lazy_module import LazyModule
from symtheory.matrix_calculus.evaluate import evaluate_definitions

if TYPE_CHECKING:
    import numpy as np
else:
    np = LazyModule("numpy")

SEED = 0
SMALLEST = 1e-10
"""A Gram matrix of a standard normal point has smallest over largest eigenvalue far above this, or zero."""


def singular_definition(metric: BlockMetric) -> str | None:
    """Why a weight of the metric is singular at every point, or None; sizes that are not bound are not looked at."""
    if not all(size.is_Integer for symbol in metric.model.symbols.values() for size in symbol.shape):
        return None
    rng = np.random.default_rng(SEED)
    point: dict[Any, Any] = {
        symbol: rng.standard_normal([int(size) for size in symbol.shape]) for symbol in metric.model.symbols.values()
    }
    values = evaluate_definitions(metric.definitions, point)
    for symbol in metric.weights:
        if isinstance(symbol, sp.MatrixSymbol):
            eigenvalues = np.linalg.eigvalsh(values[symbol])
            rank = int((eigenvalues > SMALLEST * eigenvalues[-1]).sum())
            if rank < len(eigenvalues):
                meaning = metric.definitions.expression(metric.definitions[symbol])
                return (
                    f"{meaning} is {len(eigenvalues)}×{len(eigenvalues)} and has rank {rank} at most; choose sizes at "
                    "which it has full rank (no inner size larger than the sizes on both sides of it), or Relaxed"
                )
    return None
