"""The geometry of a metric in explicit components: connection, curvature, and curvature of the quotient by an orbit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import sympy as sp
from sympy.polys.constructor import construct_domain
from sympy.polys.matrices import DomainMatrix

from symtheory.errors import CalculusError, DomainError, MetricError, ShapeError
from symtheory.geometry.christoffel_symbols import ChristoffelSymbols
from symtheory.geometry.curvature import Curvature, curvature, curvature_at, first_kind_at, index_pairs, plane_area
from symtheory.geometry.first_kind import Symbols
from symtheory.geometry.metric_entries import metric_entries

Values = Mapping[tuple[int, ...], Any]
Point = Mapping[sp.Symbol, Any] | Sequence[Any]

# Rank at these steps between the values of successive symbols is the generic rank, but for fields made to fit them.
PROBE_STEPS = (sp.Rational(17, 13), sp.Rational(31, 29), sp.Rational(-7, 19))


class ExplicitGeometry:
    """Connection and curvature of an N×N metric, and of its quotient by the orbits that given fields span.

    What is asked for as expressions is derived once. Where these would be long, the same is computed at a point, from
    the metric's first and second derivatives there, by exact linear algebra. Quantities are dimensionless.

    Args:
        metric: symmetric N×N matrix of expressions.
        coordinates: the N coordinate symbols; every other symbol is a constant.
        vertical: vector fields of N expressions each that span the orbits' tangent spaces; they may be dependent.

    Raises:
        MetricError: the matrix does not fit the coordinates, or is not symmetric.
        ShapeError: a vector field has not N components.
    """

    def __init__(
        self,
        metric: sp.MatrixBase,
        coordinates: Sequence[sp.Symbol],
        vertical: Iterable[Sequence[sp.Expr]] = (),
    ) -> None:
        self.coordinates: tuple[sp.Symbol, ...] = tuple(coordinates)
        self.metric = sp.ImmutableMatrix(metric)
        self._entries = metric_entries(self.metric, self.coordinates)
        self._columns = [self._vector(field, "a vertical field") for field in vertical]
        self._known: dict[tuple[sp.Expr, ...], Curvature] = {}

    def christoffel(self) -> ChristoffelSymbols:
        """Christoffel symbols in the N coordinates. Raises MetricError when the metric is singular."""
        return self._christoffel

    @cached_property
    def _christoffel(self) -> ChristoffelSymbols:
        return ChristoffelSymbols(self.metric, self.coordinates)

    def curvature(self) -> Curvature:
        """Curvature as expressions, for a few coordinates. Raises MetricError when the metric is singular."""
        return self._curvature

    @cached_property
    def _curvature(self) -> Curvature:
        return curvature(self.metric, self._christoffel)

    def christoffel_at(self, point: Point) -> Symbols:
        """Nonzero symbols {(i, k, l): Γ^i_kl, k <= l} at a point.

        point: {coordinate: exact number}, or N numbers in order; a float counts as the binary fraction that it is.

        Raises:
            DomainError: a coordinate has no value, or the metric is undefined there.
            MetricError: the metric is singular there.
            CalculusError: the metric has no exact value there.
        """
        values = self._point(point)
        metric, slopes, _ = self._jet(values, second=False)
        size = len(self.coordinates)
        raised = metric.inv() * first_kind_at(slopes, size, metric.domain)
        pairs = index_pairs(size)
        return {(i, *pairs[column]): value for (i, column), value in raised.to_Matrix().todok().items()}

    def curvature_at(self, point: Point) -> Curvature:
        """Curvature at a point, kept for the next question there; arguments and errors as for `christoffel_at`."""
        values = self._point(point)
        key = tuple(values.values())
        if key not in self._known:
            self._known[key] = curvature_at(*self._jet(values, second=True))
        return self._known[key]

    def horizontal_projection_at(self, point: Point) -> sp.ImmutableMatrix:
        """N×N matrix of the g-orthogonal projection along the orbit at a point.

        Raises:
            DomainError: as for `christoffel_at`, or the orbit through the point has fewer dimensions than others.
            MetricError: the metric is degenerate along the orbit.
        """
        values = self._point(point)
        fields = self._fields_at(values)[1]
        return self._projection(self._value(self.metric, values), fields)

    def quotient_sectional(self, x: Sequence[sp.Expr], y: Sequence[sp.Expr], point: Point) -> sp.Expr:
        """Sectional curvature of the quotient by the orbits, of the plane that two tangent vectors have as image.

        O'Neill's formula K(X, Y) + ¾ |[X̄, Ȳ]^vertical|² / (|X|²|Y|² − ⟨X, Y⟩²), with X and Y made horizontal first:
        their vertical parts do not move in the quotient (B. O'Neill, The fundamental equations of a submersion,
        Michigan Math. J. 13, 1966).

        x, y: N components each, numbers or expressions in the coordinates.
        point: as for `christoffel_at`.

        Raises:
            DomainError, CalculusError: as for `horizontal_projection_at`.
            MetricError: as there, or the fields do not leave the metric on horizontal vectors invariant at the point,
                or X and Y span no plane of the quotient.
        """
        values = self._point(point)
        metric = self._value(self.metric, values)
        places, fields = self._fields_at(values)
        projection = self._projection(metric, fields)
        self._require_invariance(values, metric, projection)
        pair = [projection * self._value(self._vector(vector, "a tangent vector"), values) for vector in (x, y)]
        area = plane_area(metric, *pair)
        total = self.curvature_at(values).sectional(*pair)
        return sp.cancel(total + sp.Rational(3, 4) * self._bracket(values, metric, places, pair) / area)

    def _bracket(
        self, values: Mapping[sp.Symbol, sp.Expr], metric: sp.Matrix, places: Sequence[int], pair: Sequence[sp.Matrix]
    ) -> sp.Expr:
        """|[X̄, Ȳ]^vertical|² for horizontal fields X̄, Ȳ through the two vectors given.

        The one-forms α_a = g(V_a, ·) vanish on horizontal fields, so g(V_a, [X̄, Ȳ]) = −dα_a(X, Y): no derivative of
        the fields X̄, Ȳ is needed, and the value depends on X and Y at the point alone.
        """
        if not places:
            return sp.S.Zero
        forms = [self.metric * self._columns[place] for place in places]
        slopes = [self._value(form.jacobian(self.coordinates), values) for form in forms]
        x, y = pair
        differentials = sp.Matrix([(y.T * slope * x - x.T * slope * y)[0] for slope in slopes])
        fields = sp.Matrix.hstack(*(self._value(self._columns[place], values) for place in places))
        gram = fields.T * metric * fields
        return (differentials.T * gram.inv() * differentials)[0]

    def _projection(self, metric: sp.Matrix, fields: sp.Matrix) -> sp.ImmutableMatrix:
        identity = sp.eye(len(self.coordinates))
        if not fields.cols:
            return sp.ImmutableMatrix(identity)
        gram = fields.T * metric * fields
        if sp.cancel(gram.det()) == 0:
            raise MetricError("the metric is degenerate along the orbit: choose one that is regular there")
        return sp.ImmutableMatrix(identity - fields * gram.inv() * fields.T * metric).applyfunc(sp.cancel)

    def _require_invariance(
        self, values: Mapping[sp.Symbol, sp.Expr], metric: sp.Matrix, projection: sp.Matrix
    ) -> None:
        """A quotient metric exists where L_V g vanishes on horizontal vectors, for every vertical field V."""
        for field in self._columns:
            slope = self._value(field.jacobian(self.coordinates), values)
            along = self._value(field, values)
            moved = sp.zeros(*metric.shape)
            for (i, j, k), value in self._slopes.items():
                moved[i, j] += value.xreplace(values) * along[k]
                moved[j, i] = moved[i, j]
            lie = projection.T * (moved + slope.T * metric + metric * slope) * projection
            if any(sp.cancel(entry) != 0 for entry in lie):
                named = ", ".join(map(str, field))
                raise MetricError(
                    f"the metric is not invariant along ({named}), so it defines no quotient: choose another"
                )

    def _fields_at(self, values: Mapping[sp.Symbol, sp.Expr]) -> tuple[tuple[int, ...], sp.Matrix]:
        """Which fields are independent at a point, and their values as columns."""
        if not self._columns:
            return (), sp.zeros(len(self.coordinates), 0)
        fields = self._value(sp.Matrix.hstack(*self._columns), values)
        places = _independent(fields)
        if len(places) < self._orbit_dimension:
            raise DomainError(
                f"the orbit through the point has dimension {len(places)}, others {self._orbit_dimension}: "
                "the quotient is singular there, choose another point"
            )
        return places, fields[:, list(places)]

    @cached_property
    def _orbit_dimension(self) -> int:
        fields = sp.Matrix.hstack(*self._columns)
        symbols = sorted(fields.free_symbols, key=lambda symbol: symbol.sort_key())
        ranks = [0]
        for step in PROBE_STEPS:
            probe = {symbol: sp.Rational(5, 7) + place * step for place, symbol in enumerate(symbols)}
            at_probe = fields.xreplace(probe)
            if not at_probe.has(sp.nan, sp.zoo, sp.oo):
                ranks.append(len(_independent(at_probe)))
        return max(ranks)

    def _vector(self, components: Sequence[sp.Expr], what: str) -> sp.ImmutableMatrix:
        column = sp.ImmutableMatrix([sp.sympify(component) for component in components])
        if column.rows != len(self.coordinates):
            raise ShapeError(f"{what} has {column.rows} components: give {len(self.coordinates)}, one a coordinate")
        return column

    def _point(self, point: Point) -> dict[sp.Symbol, sp.Expr]:
        """Exact values of the coordinates, in order."""
        if not isinstance(point, Mapping):
            if len(point) != len(self.coordinates):
                raise DomainError(f"the point has {len(point)} values: give {len(self.coordinates)}, one a coordinate")
            point = dict(zip(self.coordinates, point, strict=True))
        missing = [symbol.name for symbol in self.coordinates if symbol not in point]
        if missing:
            raise DomainError(f"the point has no value for {', '.join(missing)}: give every coordinate one")
        return {symbol: _exact(point[symbol]) for symbol in self.coordinates}

    def _value(self, matrix: sp.MatrixBase, values: Mapping[sp.Symbol, sp.Expr]) -> sp.Matrix:
        return sp.Matrix(*matrix.shape, [_at(entry, values) for entry in matrix])

    @cached_property
    def _slopes(self) -> dict[tuple[int, ...], sp.Expr]:
        """Nonzero {(i, j, k): ∂_k g_ij, i <= j}."""
        return _derivatives(self._entries, self.coordinates)

    @cached_property
    def _bends(self) -> dict[tuple[int, ...], sp.Expr]:
        """Nonzero {(i, j, k, l): ∂_k∂_l g_ij, i <= j, k <= l}."""
        return _derivatives(self._slopes, self.coordinates)

    def _jet(self, values: Mapping[sp.Symbol, sp.Expr], second: bool) -> tuple[DomainMatrix, Values, Values]:
        """The metric, its first and (if asked for) its second derivatives at a point, over one field."""
        bends: Mapping[tuple[int, ...], Any] = self._bends if second else {}
        everything = [*self._entries.values(), *self._slopes.values(), *bends.values()]
        field, elements = construct_domain([_at(value, values) for value in everything], field=True, extension=True)
        if field.is_EX or (field.is_FractionField and not all(symbol.is_Symbol for symbol in field.symbols)):
            raise CalculusError("the metric has no exact value at the point: choose one where it is rational")
        ordered = iter(elements)
        entries, slopes, bends = (
            {key: next(ordered) for key in derivatives} for derivatives in (self._entries, self._slopes, bends)
        )
        size = len(self.coordinates)
        rows = [[entries.get((min(i, j), max(i, j)), field.zero) for j in range(size)] for i in range(size)]
        metric = DomainMatrix(rows, (size, size), field)
        if metric.rank() < size:
            shown = ", ".join(f"{symbol} = {value}" for symbol, value in values.items())
            raise MetricError(f"the metric is singular at {shown}: choose another point")
        return metric, slopes, bends


def _exact(value: Any) -> sp.Expr:
    number = sp.sympify(value)
    return sp.Rational(number) if number.is_Float else number


def _at(expression: sp.Expr, values: Mapping[sp.Symbol, sp.Expr]) -> sp.Expr:
    result = expression.xreplace(values)
    if result.has(sp.nan, sp.zoo, sp.oo):
        raise DomainError(f"{expression} is undefined at the point: choose one inside the domain of the metric")
    return result


def _independent(columns: sp.MatrixBase) -> tuple[int, ...]:
    """Which columns do not depend on earlier ones."""
    return tuple(DomainMatrix.from_Matrix(columns, extension=True).to_field().rref()[1])


def _derivatives(values: Mapping[Any, sp.Expr], coordinates: Sequence[sp.Symbol]) -> dict[tuple[int, ...], sp.Expr]:
    """Nonzero derivatives of entries {(i, j): g_ij} or of first derivatives {(i, j, k): …}, last indices in order."""
    place = {symbol: number for number, symbol in enumerate(coordinates)}
    found = {}
    for key, value in values.items():
        moving = sorted(place[symbol] for symbol in value.free_symbols if symbol in place)
        for number in moving:
            if number >= max(key[2:], default=0):
                found[(*key, number)] = sp.diff(value, coordinates[number])
    return {key: value for key, value in found.items() if value != 0}
