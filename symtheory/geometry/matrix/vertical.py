"""The vertical space of a metric on matrices: the group's fields, their Gram operator, the moment of a covector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sympy as sp

from symtheory.geometry.matrix.block_metric import BlockMetric
from symtheory.matrix_calculus.definitions import Definitions, fold
from symtheory.matrix_calculus.polynomial import (
    Polynomial,
    collect,
    diagonal_part,
    inverse,
    letter,
)
from symtheory.matrix_calculus.symbols import DiagonalSymbol, SkewSymbol
from symtheory.matrix_calculus.trace_form import TraceForm, gradient, scalar_gradient, trace
from symtheory.matrix_calculus.two_sided import TwoSidedOperator, skew_part, two_sided
from symtheory.symmetry.factor import Factor


@dataclass(frozen=True)
class VerticalPart:
    """What one factor spans, once all shifts are taken out.

    element: symbol of an element of its Lie algebra; field: parameter → the change it makes; gram: the Gram operator of
    the element where it is a matrix, or the number or diagonal matrix by which the element is multiplied; moment: the
    gradient of ⟨ξ, field⟩ with respect to the element. The horizontal part of ξ is ξ − field(a) with gram(a) = moment.
    """

    factor: Factor
    element: Any
    field: Mapping[str, Polynomial]
    gram: TwoSidedOperator | Polynomial | TraceForm
    moment: Polynomial | TraceForm

    def gram_of_element(self) -> Any:
        """The Gram operator applied to the element, as a SymPy expression."""
        if isinstance(self.gram, TraceForm):
            return self.gram.expression() * self.element
        if isinstance(self.gram, Polynomial):
            return (self.gram @ letter(self.element)).expression()
        straight = [left.expression() * self.element * right.expression() for left, right in self.gram.straight]
        crossed = [left.expression() * self.element.T * right.expression() for left, right in self.gram.crossed]
        terms = [*straight, *crossed]
        return terms[0] if len(terms) == 1 else sp.MatAdd(*terms)

    @property
    def is_closed(self) -> bool:
        """Whether the Gram operator is inverted in closed form rather than by iteration."""
        if not isinstance(self.gram, TwoSidedOperator):
            return True
        return self.gram.kind in ("product", "sylvester") and len(self.gram.positive) == len(self.gram.straight)


@dataclass(frozen=True)
class VerticalSpace:
    """All factors but shifts, the pairs of them that are not orthogonal, and the definitions of their symbols."""

    parts: tuple[VerticalPart, ...]
    coupled: tuple[tuple[str, str], ...]
    definitions: Definitions

    @cached_property
    def is_closed(self) -> bool:
        """Whether projection needs no iteration."""
        return not self.coupled and all(part.is_closed for part in self.parts)


def vertical_space(metric: BlockMetric, xi: Mapping[str, sp.MatrixSymbol]) -> VerticalSpace:
    """The vertical space of a metric; xi: symbols of the tangent of which moments are taken."""
    model = metric.model
    definitions = metric.definitions.copy()
    definitions.taken |= {symbol.name for symbol in xi.values()}
    point = {name: letter(symbol) for name, symbol in model.symbols.items()}
    tangent = {name: model.centred(name, letter(symbol)) for name, symbol in xi.items()}
    parts = []
    for factor in model.linear_factors():
        element = model.element(factor)
        moved = model.field(factor, point)
        field = {name: value for name, change in moved.items() if (value := model.centred(name, change))}
        if field:
            parts.append(_part(factor, element, field, metric, tangent, definitions))
    coupled = tuple(
        (first.factor.name, second.factor.name)
        for place, first in enumerate(parts)
        for second in parts[place + 1 :]
        if _is_coupled(first, second, metric)
    )
    return VerticalSpace(tuple(parts), coupled, definitions)


def moment_of_covector(part: VerticalPart, eta: Mapping[str, sp.MatrixSymbol]) -> Polynomial | TraceForm:
    """The gradient of Σ Tr(η field(a)ᵀ) with respect to the element a: the moment of the tangent with covector η."""
    pairing = TraceForm({})
    for name, field in part.field.items():
        pairing = pairing + trace(letter(eta[name]) @ field.T)
    return _in_algebra(pairing, part.element)


def _in_algebra(pairing: TraceForm, element: Any) -> Polynomial | TraceForm:
    """The gradient of a form that is linear in an element, as an element of its Lie algebra."""
    if not isinstance(element, sp.MatrixSymbol):
        return scalar_gradient(pairing, element)
    moment = gradient(pairing, element)
    if isinstance(element, DiagonalSymbol):
        return diagonal_part(moment)
    return (moment - moment.T) * sp.S.Half if isinstance(element, SkewSymbol) else moment


def _part(
    factor: Factor,
    element: Any,
    field: Mapping[str, Polynomial],
    metric: BlockMetric,
    tangent: Mapping[str, Polynomial],
    definitions: Definitions,
) -> VerticalPart:
    energy = metric.inner(field, field) * sp.S.Half
    pairing = metric.inner(tangent, field)
    moment = _in_algebra(pairing, element)
    if not isinstance(element, sp.MatrixSymbol):
        return VerticalPart(factor, element, field, scalar_gradient(scalar_gradient(energy, element), element), moment)
    slope = gradient(energy, element)
    if isinstance(element, DiagonalSymbol):
        return VerticalPart(factor, element, field, fold(_diagonal_gram(slope, element), definitions), moment)
    gram = two_sided(slope, element, definitions)
    if isinstance(element, SkewSymbol):
        gram = skew_part(gram, definitions)
    return VerticalPart(factor, element, field, gram, moment)


def _diagonal_gram(slope: Polynomial, element: DiagonalSymbol) -> Polynomial:
    """The diagonal matrix G with diag(slope) = G · element."""
    total = collect([], slope.shape)
    undone = inverse(letter(element))
    for word, coefficient in diagonal_part(slope):
        total = total + collect([(word, coefficient)], slope.shape) @ undone
    return total


def _is_coupled(first: VerticalPart, second: VerticalPart, metric: BlockMetric) -> bool:
    return bool(metric.inner(first.field, second.field))
