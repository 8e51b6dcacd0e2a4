"""A parametrization as matrices: how its parameters are seen, and what its group does to rows and columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sympy as sp

from symtheory.errors import CalculusError
from symtheory.geometry.matrix.view import View
from symtheory.graph.layout import Layout
from symtheory.graph.node import Node
from symtheory.graph.shapes import Shape, Size
from symtheory.graph.subgraph import as_matrix
from symtheory.graph.symbol_names import free_name
from symtheory.matrix_calculus.polynomial import Polynomial, letter, polynomial, zero
from symtheory.matrix_calculus.symbols import CenteringSymbol, DiagonalSymbol, SkewSymbol
from symtheory.symmetry.edge_group import FIXING_ONES, GENERAL, EdgeGroup
from symtheory.symmetry.factor import Factor
from symtheory.symmetry.rescaling import Rescaling
from symtheory.symmetry.site import Site
from symtheory.symmetry.translation import Translation

ROWS, COLUMNS, WHOLE = 0, 1, 2
"""Where a factor meets a matrix."""


@dataclass(frozen=True)
class Meeting:
    """A factor at work on a parameter: on its rows, its columns, or on the whole of each matrix of the family."""

    factor: str
    parameter: str
    where: int
    exponent: sp.Rational


@dataclass(frozen=True)
class MadeUp:
    """A parameter that makes up for a shift of another one: it changes by ``change``, linear in ``leaf``, the shift."""

    parameter: str
    shifted: str
    change: Node
    leaf: Node


@dataclass(frozen=True)
class MatrixModel:
    """Views of all parameters, and the group in their terms.

    views: parameter → view, in the graph's order; factors: those of the group, by name; meetings: where each is at
    work; shifted: parameter → for every shift of it the sides along which the shift is the same, none where it has all
    the parameter's entries; straightening: how coordinates are reached where no shift has to be made up for.
    """

    views: Mapping[str, View]
    factors: Mapping[str, Factor]
    meetings: tuple[Meeting, ...]
    shifted: Mapping[str, tuple[frozenset[int], ...]]
    straightening: tuple[MadeUp, ...] = ()

    @cached_property
    def symbols(self) -> dict[str, sp.MatrixSymbol]:
        return {name: view.symbol for name, view in self.views.items()}

    def tangent(self, prefix: str) -> dict[str, sp.MatrixSymbol]:
        """Symbols of a tangent, named prefix_parameter."""
        taken = set(self.views)
        return {
            name: sp.MatrixSymbol(free_name(f"{prefix}_{name}", taken), *view.shape)
            for name, view in self.views.items()
        }

    def at(self, parameter: str, where: int) -> list[Meeting]:
        """What meets a parameter on one side, or as a whole."""
        return [m for m in self.meetings if m.parameter == parameter and m.where == where]

    def centred(self, parameter: str, value: Polynomial) -> Polynomial:
        """The part of a parameter, or of its tangent, that no shift changes."""
        if parameter not in self.shifted:
            return value
        for sides in self.shifted[parameter]:
            if not sides:
                return zero(value.shape)
            if ROWS in sides:
                value = letter(centring(value.shape[0])) @ value
            if COLUMNS in sides:
                value = value @ letter(centring(value.shape[1]))
        return value

    @cached_property
    def straightened(self) -> dict[str, Polynomial]:
        """Parameter → the polynomial of the point that takes its place in straightened coordinates.

        A bias b2 that makes up for a shift t of b1 by −W2 t is replaced by b2 + W2 b1, with b1 replaced already. Raises
        ``CalculusError`` where the change is no expression in single matrices.
        """
        values: dict[str, Polynomial] = {}
        for made_up in self.straightening:
            try:
                change = self.as_polynomial(made_up.change)
            except CalculusError as error:
                raise CalculusError(
                    f"what '{made_up.parameter}' becomes in straightened coordinates is no expression of one copy of "
                    f"the parameters ({error}); generated code has it"
                ) from error
            leaf = made_up.leaf.operation.matrix()
            own = values.get(made_up.shifted, letter(self.symbols[made_up.shifted]))
            present = values.get(made_up.parameter, letter(self.symbols[made_up.parameter]))
            values[made_up.parameter] = present - change.replaced({leaf: own})
        return values

    def as_polynomial(self, node: Node) -> Polynomial:
        """A node of the graph in the point's symbols. Raises ``CalculusError`` where these are not whole parameters."""
        result = polynomial(as_matrix(node))
        for symbol in result.symbols:
            if isinstance(symbol, sp.MatrixSymbol) and self.symbols.get(symbol.name, symbol) != symbol:
                raise CalculusError(f"'{symbol.name}' is seen in two ways at once: no geometry in matrices")
        return result

    def linear_factors(self) -> Iterator[Factor]:
        """All factors but shifts."""
        for factor in self.factors.values():
            if not isinstance(factor, Translation):
                yield factor

    def element(self, factor: Factor) -> Any:
        """A symbol for an element of the Lie algebra: a matrix, diagonal, skew, or one number."""
        taken = set(self.views)
        if isinstance(factor, EdgeGroup):
            kind = sp.MatrixSymbol if factor.algebra == GENERAL else SkewSymbol
            return kind(free_name(f"A_{factor.name}", taken), factor.size, factor.size)
        size = self.diagonal_size(factor)
        if size is None:
            return sp.Symbol(free_name(f"a_{factor.name}", taken), real=True)
        return DiagonalSymbol(free_name(f"a_{factor.name}", taken), size, size)

    def diagonal_size(self, factor: Factor) -> Size | None:
        """Size of the diagonal matrix that a rescaling is on one matrix; None where it is one number."""
        own = next(m for m in self.meetings if m.factor == factor.name)
        return None if own.where == WHOLE else self.views[own.parameter].shape[own.where]

    def field(self, factor: Factor, values: Mapping[str, Polynomial]) -> dict[str, Polynomial]:
        """The linear change of matrices, given by parameter, under an element of a factor's Lie algebra."""
        element = self.element(factor)
        fixes_ones = isinstance(factor, EdgeGroup) and factor.algebra == FIXING_ONES
        change: dict[str, Polynomial] = {}
        for meeting in self.meetings:
            if meeting.factor != factor.name:
                continue
            value = values[meeting.parameter]
            moved = (
                value * (meeting.exponent * element)
                if meeting.where == WHOLE
                else _along(meeting, element, value, fixes_ones)
            )
            name = meeting.parameter
            change[name] = change[name] + moved if name in change else moved
        return change


def centring(size: Size) -> CenteringSymbol:
    """The projection that takes the mean away, for one size."""
    return CenteringSymbol(f"centring_{size}", size, size)


def _along(meeting: Meeting, element: Any, value: Polynomial, fixes_ones: bool) -> Polynomial:
    matrix = letter(element)
    if fixes_ones:
        projection = letter(centring(element.shape[0]))
        matrix = projection @ matrix @ projection
    if isinstance(element, DiagonalSymbol):
        matrix = matrix * meeting.exponent
    elif meeting.exponent < 0:
        matrix = matrix.T * -1
    return matrix @ value if meeting.where == ROWS else value @ matrix.T


def matrix_model(parameters: Mapping[str, Shape], factors: Sequence[Factor]) -> MatrixModel:
    """The model of a group on parameters.

    Raises ``CalculusError``, naming the parameter, where a group acts on more of its axes than rows and columns.
    """
    sites = {factor.name: factor.sites for factor in factors if isinstance(factor, EdgeGroup | Rescaling)}
    odd = [f for f in factors if not isinstance(f, EdgeGroup | Rescaling | Translation)]
    if odd:
        raise CalculusError(f"'{odd[0].name}' acts on single coordinates: there is no geometry in matrices for it")
    views = {name: _view(name, shape, factors) for name, shape in parameters.items()}
    meetings = tuple(_meeting(name, site, views[site.parameter]) for name, own in sites.items() for site in own)
    shifts = [factor for factor in factors if isinstance(factor, Translation)]
    shifted: dict[str, tuple[frozenset[int], ...]] = {}
    for shift in shifts:
        same = same_along(shift, views[shift.parameter])
        shifted[shift.parameter] = (*shifted.get(shift.parameter, ()), same)
    by_name = {factor.name: factor for factor in factors}
    return MatrixModel(views, by_name, meetings, shifted, _straightening(shifts, shifted))


def _sites_on(name: str, factors: Sequence[Factor]) -> list[Site]:
    return [
        site
        for factor in factors
        if isinstance(factor, EdgeGroup | Rescaling)
        for site in factor.sites
        if site.parameter == name
    ]


def _acted(site: Site) -> tuple[tuple[int, ...], int | None]:
    """Places in the batch and the place acted along: of a rescaling over several indices the last one."""
    if site.place is not None:
        return site.copies, site.place
    return (site.copies[:-1], site.copies[-1]) if site.copies else ((), None)


def _view(name: str, shape: Shape, factors: Sequence[Factor]) -> View:
    sites = _sites_on(name, factors)
    layout = sites[0].layout if sites else Layout(tuple((size,) for size in shape))
    copies = list(dict.fromkeys(_acted(site)[0] for site in sites))
    if len(copies) > 1:
        raise CalculusError(
            f"some factors move '{name}' copy by copy and others all copies alike, or in another order: no geometry in "
            "matrices for both"
        )
    batch = copies[0] if copies else ()
    acted = sorted({place for site in sites if (place := _acted(site)[1]) is not None})
    rest = tuple(place for place in range(len(layout.sizes)) if place not in batch)
    if len(rest) <= 2:
        rows, columns = rest[:1], rest[1:]
    elif len(acted) <= 1:
        first = acted[0] if acted else rest[0]
        rows, columns = (first,), tuple(place for place in rest if place != first)
    else:
        raise CalculusError(
            f"the group acts on {len(acted)} axes of '{name}' and leaves others: geometry in matrices knows parameters "
            "with two axes beside those of copies"
        )
    return View(name, layout, batch, rows, columns)


def _meeting(factor: str, site: Site, view: View) -> Meeting:
    _, place = _acted(site)
    if place is None:
        return Meeting(factor, site.parameter, WHOLE, site.exponent)
    side = view.side(place)
    assert side is not None  # the view was made so that acted places are rows or columns
    return Meeting(factor, site.parameter, side, site.exponent)


def same_along(shift: Translation, view: View) -> frozenset[int]:
    """Sides of the view along which the shift is the same."""
    places = [place for axis in range(view.layout.rank) if axis not in shift.axes for place in view.layout.places(axis)]
    sides = {0 if place in view.rows else 1 if place in view.columns else None for place in places}
    whole = {ROWS: view.rows, COLUMNS: view.columns}
    covered = all(set(whole[side]) <= set(places) for side in sides if side is not None)
    if None in sides or not covered:
        raise CalculusError(f"'{shift.name}' is the same along part of '{shift.parameter}': no geometry in matrices")
    wide = frozenset(side for side in sides if side is not None and view.shape[side] != 1)
    if len(wide) == 2:
        raise CalculusError(f"'{shift.name}' shifts all of '{shift.parameter}' by one number: no geometry in matrices")
    return wide


def _straightening(
    shifts: Sequence[Translation], shifted: Mapping[str, tuple[frozenset[int], ...]]
) -> tuple[MadeUp, ...]:
    found = []
    for shift in _in_order(shifts):
        for name, node in shift.compensation.items():
            if any(shifted[shift.parameter]):
                raise CalculusError(f"'{shift.name}' shifts part of '{shift.parameter}' and is made up for elsewhere")
            found.append(MadeUp(name, shift.parameter, node, shift.leaf))
    return tuple(found)


def _in_order(shifts: Sequence[Translation]) -> list[Translation]:
    """Shifts whose own parameter makes up for none of those left come first."""
    left, ordered = list(shifts), []
    while left:
        first = next(
            (s for s in left if not any(s.parameter in other.compensation for other in left if other is not s)), None
        )
        if first is None:
            raise CalculusError("shifts make up for each other in a circle: no geometry in matrices")
        left.remove(first)
        ordered.append(first)
    return ordered
