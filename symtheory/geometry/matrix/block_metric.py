"""A metric on matrices: products of matrices on either side of every parameter's tangent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sympy as sp

from symtheory.errors import CalculusError
from symtheory.geometry.matrix.model import MatrixModel
from symtheory.matrix_calculus.definitions import Definitions
from symtheory.matrix_calculus.polynomial import Polynomial, identity, inverse, zero
from symtheory.matrix_calculus.trace_form import TraceForm, trace


@dataclass(frozen=True)
class Term:
    """scale · Tr(left ξ right ζᵀ); left and right symmetric, one word each."""

    left: Polynomial
    right: Polynomial
    scale: sp.Expr = sp.S.One

    def lower(self, xi: Polynomial) -> Polynomial:
        """The covector scale · left ξ right."""
        return self.left @ xi @ self.right * self.scale

    @property
    def symbols(self) -> set[Any]:
        """All symbols that occur."""
        return self.left.symbols | self.right.symbols | self.scale.free_symbols


@dataclass(frozen=True)
class Block:
    """⟨ξ, ζ⟩ = Σ scale · Tr(left ξ right ζᵀ) for one parameter."""

    terms: tuple[Term, ...]

    def lower(self, xi: Polynomial) -> Polynomial:
        """The covector Σ scale · left ξ right."""
        return sum((term.lower(xi) for term in self.terms), zero(xi.shape))

    def raise_(self, eta: Polynomial) -> Polynomial:
        """The tangent that ``lower`` makes this covector of.

        Raises ``CalculusError`` where the block is a sum of products: the tangent then solves a Sylvester equation.
        """
        if len(self.terms) > 1:
            raise CalculusError(
                f"a sum of {len(self.terms)} products has no inverse as a product: generated code solves for it"
            )
        (term,) = self.terms
        return inverse(term.left) @ eta @ inverse(term.right) * (1 / term.scale)

    @property
    def symbols(self) -> set[Any]:
        """All symbols that occur."""
        return set().union(*(term.symbols for term in self.terms))


@dataclass(frozen=True)
class BlockMetric:
    """The metric Σ_P Σ scale Tr(left ξ_P right ζ_Pᵀ).

    definitions: what its symbols stand for; is_straightened: whether point and tangents are those of straightened
    coordinates, see ``MatrixModel.straightened``; exact, epsilon: the metric of which this is a relaxation,
    and by how much.
    """

    name: str
    model: MatrixModel
    definitions: Definitions
    blocks: Mapping[str, Block]
    is_straightened: bool = True
    exact: BlockMetric | None = None
    epsilon: sp.Expr = sp.S.Zero

    @property
    def weights(self) -> list[Any]:
        """The symbols that the blocks are made of: what has to be regular for the metric to be."""
        used = set().union(*(block.symbols for block in self.blocks.values()))
        return [symbol for symbol in self.definitions if symbol in used]

    def inner(self, xi: Mapping[str, Polynomial], zeta: Mapping[str, Polynomial]) -> TraceForm:
        """⟨ξ, ζ⟩; parameters that a tangent leaves out count as zero."""
        total = TraceForm({})
        for name in xi:
            if name in zeta:
                total = total + trace(self.blocks[name].lower(xi[name]) @ zeta[name].T)
        return total

    @property
    def is_closed(self) -> bool:
        """Whether every block is a single product, so that covectors are raised by two inverses."""
        return all(len(block.terms) == 1 for block in self.blocks.values())


def identity_block(shape: tuple[Any, Any]) -> Block:
    """The Euclidean metric on one parameter."""
    return Block((Term(identity(shape[0]), identity(shape[1])),))
