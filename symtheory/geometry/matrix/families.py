"""Metrics that every model of matrices has: Euclidean, and two that its group proposes."""

from __future__ import annotations

from symtheory.geometry.matrix.block_metric import Block, BlockMetric, Term, identity_block
from symtheory.geometry.matrix.covariants import Character, Covariants, combined
from symtheory.geometry.matrix.model import COLUMNS, ROWS, MatrixModel
from symtheory.matrix_calculus.definitions import Definitions
from symtheory.matrix_calculus.polynomial import Polynomial, identity


def euclidean_blocks(model: MatrixModel) -> BlockMetric:
    """Σ ‖ξ_P‖²."""
    blocks = {name: identity_block(view.shape) for name, view in model.views.items()}
    return BlockMetric("euclidean", model, Definitions(taken=set(model.views)), blocks, is_straightened=False)


def covariant_blocks(model: MatrixModel, name: str, *, own_first: bool) -> BlockMetric:
    """Every side that a group moves is weighted by a covariant that undoes it.

    own_first: by the inverse Gram matrix of the parameter itself ("invariant"), else by the Gram matrix of what is
    moved the opposite way ("mixed"). Raises ``CalculusError`` where the point has none.
    """
    covariants = Covariants(model)
    blocks = {}
    for parameter, view in model.views.items():
        weights, left_over = [], [(covariants.whole(parameter), 2)]
        for side in (ROWS, COLUMNS):
            moved = covariants.transformation((parameter, side))
            weight: Polynomial = identity(view.shape[side])
            left: Character = ()
            if moved.is_moved:
                weight, left = covariants.weight(moved, own_first=own_first)
            weights.append(weight)
            left_over.append((left, 1))
        scale = covariants.number(combined((combined(*left_over), -1)), parameter, own_first=own_first)
        blocks[parameter] = Block((Term(weights[ROWS], weights[COLUMNS], scale),))
    used = set().union(*(block.symbols for block in blocks.values()))
    return BlockMetric(name, model, covariants.definitions.restricted(used), blocks)
