"""Gram matrices of a group's fields in the Euclidean metric: of charges' gradients, and of all generators."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import sympy as sp

from symtheory.errors import CalculusError
from symtheory.geometry.matrix.model import COLUMNS, ROWS, MatrixModel, centring, same_along
from symtheory.graph.shapes import Shape, Size
from symtheory.matrix_calculus.definitions import Definitions
from symtheory.matrix_calculus.polynomial import Polynomial, letter, zero
from symtheory.matrix_calculus.symbols import SkewSymbol, SymmetricSymbol
from symtheory.matrix_calculus.trace_form import TraceForm, gradient, scalar_gradient, trace
from symtheory.matrix_calculus.two_sided import TwoSidedOperator, two_sided
from symtheory.symmetry.edge_group import FIXING_ONES, GENERAL, EdgeGroup
from symtheory.symmetry.factor import Factor
from symtheory.symmetry.translation import Translation

Kind = Literal["all", "symmetric", "skew", "diagonal", "number"]
Block = TwoSidedOperator | Polynomial | TraceForm
"""A pairing of two elements: a map of matrices, a matrix where one of both is a number, or a number."""

Fields = dict[str, Polynomial]


@dataclass(frozen=True)
class Span:
    """Fields linear in one element: a matrix of the kind said, or a number.

    factor: whose fields they are; element: its symbol, in ``field`` a matrix without restriction unless it is a number;
    field: parameter → change.
    """

    factor: Factor
    kind: Kind
    element: Any
    field: Mapping[str, Polynomial]

    @property
    def size(self) -> Size:
        """Rows of the element; 1 for a number."""
        return self.element.shape[0] if self.kind != "number" else sp.Integer(1)

    @property
    def dimension(self) -> sp.Expr:
        """Independent entries of the element of one copy."""
        h = self.size
        if self.kind == "all":
            return h * self.element.shape[1]
        return {"symmetric": h * (h + 1) / 2, "skew": h * (h - 1) / 2}.get(self.kind, h)

    @property
    def copies(self) -> Shape:
        """Sizes of the places that tell copies of the element apart."""
        copies = getattr(self.factor, "copies", ())
        return tuple(copies) if isinstance(self.factor, EdgeGroup) else tuple(copies[:-1])


@dataclass(frozen=True)
class FieldGram:
    """Inner products of fields, sorted into components that are orthogonal to each other."""

    spans: tuple[Span, ...]

    def block(self, first: Span, second: Span) -> Block:
        """The map of second elements b ↦ the gradient of ⟨X_a, X_b⟩ with respect to first elements a.

        Restricted to elements of their kinds it is the block of the Gram matrix in orthonormal bases of them.
        """
        other = _renamed(second, first)
        pairing = TraceForm({})
        for name, change in first.field.items():
            if name in other.field:
                pairing = pairing + trace(change @ other.field[name].T)
        if first.kind == "number" and second.kind == "number":
            return scalar_gradient(scalar_gradient(pairing, first.element), other.element)
        if first.kind == "number":
            return gradient(scalar_gradient(pairing, first.element), other.element)
        if second.kind == "number":
            return gradient(scalar_gradient(pairing, other.element), first.element)
        return two_sided(gradient(pairing, first.element), other.element, Definitions())

    @cached_property
    def components(self) -> tuple[tuple[Span, ...], ...]:
        """Spans joined where their fields are not orthogonal, in the order of the group."""
        groups: list[list[Span]] = []
        for span in self.spans:
            touching = [group for group in groups if any(self._couples(span, other) for other in group)]
            joined = [other for group in touching for other in group]
            groups = [group for group in groups if group not in touching] + [[*joined, span]]
        return tuple(tuple(group) for group in groups)

    def _couples(self, first: Span, second: Span) -> bool:
        block = self.block(first, second)
        return bool(block.straight or block.crossed) if isinstance(block, TwoSidedOperator) else bool(block)


def charge_fields(model: MatrixModel) -> FieldGram:
    """Half the gradients of quadratic charges, and those of linear ones: symmetric and constant generators alone.

    A charge that a shift conserves by itself has a constant gradient; with it in the Gram matrix, only the part of
    the other fields that this shift does not reach counts (a Schur complement), up to a constant factor.
    """
    shifts = [f for f in model.factors.values() if isinstance(f, Translation) and f.has_charge]
    return _gram_of(model, shifts, charges=True)


def generator_fields(model: MatrixModel) -> FieldGram:
    """The fields of all generators. Raises ``CalculusError`` for rotations that fix the ones vector, and for shifts
    that biases make up for where the change is no expression of whole matrices."""
    shifts = [f for f in model.factors.values() if isinstance(f, Translation)]
    return _gram_of(model, shifts, charges=False)


def _gram_of(model: MatrixModel, shifts: Sequence[Translation], *, charges: bool) -> FieldGram:
    bare = [shift for shift in shifts if not shift.compensation]
    point = {name: letter(symbol) for name, symbol in model.symbols.items()}
    spans = []
    for factor in model.linear_factors():
        if isinstance(factor, EdgeGroup) and (factor.algebra != GENERAL) and charges:
            continue
        if isinstance(factor, EdgeGroup) and factor.algebra == FIXING_ONES:
            raise CalculusError(
                f"'{factor.name}' is made of rotations that fix the ones vector: no volume of its orbits"
            )
        field = _unrestricted(model.field(factor, point), model.element(factor))
        kind = _kind(factor, model, charges)
        spans.append(Span(factor, kind, _plain(model.element(factor)), _centred(field, bare, model)))
    for shift in shifts:
        if shift.compensation:
            spans.append(_shift(shift, model, bare))
    return FieldGram(tuple(span for span in spans if span.field))


def _kind(factor: Factor, model: MatrixModel, charges: bool) -> Kind:
    if isinstance(factor, EdgeGroup):
        return "skew" if factor.algebra != GENERAL else "symmetric" if charges else "all"
    return "number" if model.diagonal_size(factor) is None else "diagonal"


def _plain(element: Any) -> Any:
    """The element's symbol without what its class says of its entries: the kind says it."""
    return sp.MatrixSymbol(element.name, *element.shape) if isinstance(element, sp.MatrixSymbol) else element


def _unrestricted(field: Fields, element: Any) -> Fields:
    if not isinstance(element, SymmetricSymbol | SkewSymbol):
        return field
    return {name: change.replaced({element: letter(_plain(element))}) for name, change in field.items()}


def _centred(field: Fields, bare: Iterable[Translation], model: MatrixModel) -> Fields:
    """The part of a field that is orthogonal to the shifts."""
    for shift in bare:
        change = field.get(shift.parameter)
        if change is None:
            continue
        sides = same_along(shift, model.views[shift.parameter])
        change = change if sides else zero(change.shape)
        if ROWS in sides:
            change = letter(centring(change.shape[0])) @ change
        if COLUMNS in sides:
            change = change @ letter(centring(change.shape[1]))
        field = {**field, shift.parameter: change}
    return {name: change for name, change in field.items() if change}


def _shift(shift: Translation, model: MatrixModel, bare: Sequence[Translation]) -> Span:
    """The fields of a shift of a whole parameter that others make up for."""
    view = model.views[shift.parameter]
    if same_along(shift, view):
        raise CalculusError(f"'{shift.name}' shifts part of '{shift.parameter}' and is made up for elsewhere")
    if view.batch or any(model.views[name].batch for name in shift.compensation):
        raise CalculusError(f"'{shift.name}' shifts all copies of '{shift.parameter}': no volume of its orbits")
    leaf = shift.leaf.operation.matrix()
    element = sp.MatrixSymbol(f"t_{shift.name}", *view.shape)
    field = {shift.parameter: letter(element)}
    for name, node in shift.compensation.items():
        field[name] = model.as_polynomial(node).replaced({leaf: letter(element)})
        foreign = field[name].symbols - {element, *model.symbols.values()}
        if foreign:
            raise CalculusError(f"'{shift.name}' is made up for through {foreign.pop()}, which is no parameter")
    return Span(shift, "all", element, _centred(field, bare, model))


def _renamed(span: Span, other: Span) -> Span:
    """The span with another name for its element, so that both elements of a pairing can be told apart."""
    if span.element.name != other.element.name:
        return span
    name = f"{span.element.name}_other"
    if span.kind == "number":
        element = sp.Symbol(name, real=True)
        field = {key: change.replaced({span.element: element}) for key, change in span.field.items()}
        return Span(span.factor, span.kind, element, field)
    element = sp.MatrixSymbol(name, *span.element.shape)
    return Span(
        span.factor,
        span.kind,
        element,
        {key: change.replaced({span.element: letter(element)}) for key, change in span.field.items()},
    )
