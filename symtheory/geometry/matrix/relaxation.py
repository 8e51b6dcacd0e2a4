"""Metrics whose weights stay regular where parameters lose rank."""

from __future__ import annotations

from typing import Any

import sympy as sp

from symtheory.geometry.matrix.block_metric import Block, BlockMetric, Term
from symtheory.matrix_calculus.polynomial import identity, letter
from symtheory.matrix_calculus.symbols import DiagonalSymbol
from symtheory.matrix_calculus.trace_form import trace


def relaxed_metric(metric: BlockMetric, name: str, epsilon: sp.Expr) -> BlockMetric:
    """The metric with every weight K replaced by K + ε·mean(K)·1, mean(K) the mean eigenvalue of K.

    Eigenvalues λ of a weight become λ + ε·mean, so that lengths change by a factor of at most 1 + ε·mean/λ_min where K
    is regular. The result is not invariant, by the same order: see ``BlockMetric.exact``.
    """
    definitions = metric.definitions.copy()
    replaced: dict[Any, Any] = {}
    for symbol in metric.weights:
        if not isinstance(symbol, sp.MatrixSymbol):
            continue
        size = symbol.shape[0]
        total = definitions.scalar(f"trace_{symbol.name}", trace(letter(symbol)))
        value = letter(symbol) + identity(size) * (epsilon * total / size)
        relaxed = definitions.matrix(f"relaxed_{symbol.name}", value, diagonal=isinstance(symbol, DiagonalSymbol))
        replaced[symbol] = letter(relaxed)
    blocks = {
        parameter: Block(
            tuple(Term(t.left.replaced(replaced), t.right.replaced(replaced), t.scale) for t in block.terms)
        )
        for parameter, block in metric.blocks.items()
    }
    return BlockMetric(name, metric.model, definitions, blocks, metric.is_straightened, metric, epsilon)
