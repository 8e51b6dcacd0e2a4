"""Weighted sums of metrics on matrices."""

from __future__ import annotations

from collections.abc import Sequence

import sympy as sp

from symtheory.errors import MetricError
from symtheory.geometry.matrix.block_metric import Block, BlockMetric, Term
from symtheory.geometry.matrix.model import MatrixModel
from symtheory.matrix_calculus.definitions import Definitions


def sum_of_blocks(name: str, model: MatrixModel, parts: Sequence[tuple[sp.Expr, BlockMetric]]) -> BlockMetric:
    """Σ weight · metric; terms with the same two sides are brought together.

    Raises ``MetricError`` where the parts give one name to two things, or some are written in straightened coordinates
    and others are not.
    """
    straightened = {metric.is_straightened for _, metric in parts}
    if len(straightened) > 1 and model.straightening:
        raise MetricError(f"the parts of '{name}' are written in different coordinates: leave out 'euclidean'")
    definitions = Definitions(taken=set(model.views))
    for _, metric in parts:
        for symbol, value in metric.definitions.items():
            if definitions.values.setdefault(symbol, value) != value:
                raise MetricError(f"'{symbol}' means two things in the parts of '{name}': rename it in one of them")
        definitions.taken |= metric.definitions.taken
    blocks = {parameter: _block([(w, metric.blocks[parameter]) for w, metric in parts]) for parameter in model.views}
    return BlockMetric(name, model, definitions, blocks, is_straightened=True in straightened)


def _block(parts: Sequence[tuple[sp.Expr, Block]]) -> Block:
    total: list[Term] = []
    for weight, block in parts:
        for term in block.terms:
            alike = next((t for t in total if (t.left, t.right) == (term.left, term.right)), None)
            if alike is not None:
                total.remove(alike)
                total.append(Term(term.left, term.right, alike.scale + weight * term.scale))
            else:
                total.append(Term(term.left, term.right, weight * term.scale))
    return Block(tuple(total))
