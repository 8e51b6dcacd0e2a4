"""Weighted sums of metrics on matrices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

import sympy as sp

from symtheory.errors import MetricError
from symtheory.geometry.matrix.block_metric import Block, BlockMetric, Term
from symtheory.geometry.matrix.model import MatrixModel
from symtheory.matrix_calculus.definitions import Definitions
from symtheory.matrix_calculus.polynomial import Polynomial, letter


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
    blocks = {
        parameter: _block(parameter, [(w, metric.blocks[parameter]) for w, metric in parts], definitions)
        for parameter in model.views
    }
    return BlockMetric(name, model, definitions, blocks, is_straightened=True in straightened)


def _block(parameter: str, parts: Sequence[tuple[sp.Expr, Block]], definitions: Definitions) -> Block:
    terms = [Term(t.left, t.right, weight * t.scale) for weight, block in parts for t in block.terms]
    terms = _merged(terms, lambda t: t.left, lambda t: t.right, lambda a, b: Term(a, b), parameter, definitions)
    terms = _merged(terms, lambda t: t.right, lambda t: t.left, lambda a, b: Term(b, a), parameter, definitions)
    return Block(tuple(terms))


def _merged(
    terms: Sequence[Term],
    shared: Callable[[Term], Polynomial],
    other: Callable[[Term], Polynomial],
    joined: Callable[[Polynomial, Polynomial], Term],
    parameter: str,
    definitions: Definitions,
) -> list[Term]:
    """Terms that share one side brought together: the sum of their other sides gets a name."""
    groups: dict[Polynomial, list[Term]] = {}
    for term in terms:
        groups.setdefault(shared(term), []).append(term)
    result = []
    for side, members in groups.items():
        if len(members) == 1:
            result += members
            continue
        total = reduce(lambda a, b: a + b, (other(term) * term.scale for term in members))
        if len(total.terms) == 1:
            ((word, scale),) = total.terms.items()
            term = joined(side, Polynomial({word: sp.S.One}, total.shape))
            result.append(Term(term.left, term.right, scale))
        else:
            diagonal = all(all(factor.is_diagonal for factor in word) for word, _ in total)
            result.append(joined(side, letter(definitions.matrix(f"weight_{parameter}", total, diagonal=diagonal))))
    return result
