"""Riemann, Ricci, scalar and sectional curvature in explicit components, as expressions or at one point."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, combinations_with_replacement, product
from typing import Any

import sympy as sp
from sympy.polys.matrices import DomainMatrix

from symtheory.errors import MetricError
from symtheory.geometry.christoffel_symbols import ChristoffelSymbols
from symtheory.geometry.localization import FACTORED_TERMS, Localized, Rows, inverse_matrix, localized_sum
from symtheory.geometry.metric_entries import metric_entries
from symtheory.geometry.rational_connection import rational_field

Indices = tuple[int, int, int, int]
Riemann = dict[Indices, sp.Expr]


@dataclass(frozen=True)
class Curvature:
    """Curvature of a metric in k coordinates.

    riemann: nonzero components {(i, j, k, l): R^i_jkl}, with R^i_jkl = ∂_k Γ^i_lj − ∂_l Γ^i_kj
    + Γ^i_km Γ^m_lj − Γ^i_lm Γ^m_kj.
    ricci: k×k matrix R_jl = R^i_jil.
    scalar: g^{jl} R_jl; twice the Gauss curvature on a surface.
    metric: the k×k metric they belong to.
    """

    riemann: Riemann
    ricci: sp.ImmutableMatrix
    scalar: sp.Expr
    metric: sp.ImmutableMatrix

    @property
    def is_flat(self) -> bool:
        """Whether the Riemann tensor vanishes."""
        return not self.riemann

    def sectional(self, x: Sequence[sp.Expr], y: Sequence[sp.Expr]) -> sp.Expr:
        """Sectional curvature ⟨R(X, Y)Y, X⟩ / (|X|²|Y|² − ⟨X, Y⟩²) of the plane of two tangent vectors.

        x, y: k components each. Raises MetricError when they span no plane.
        """
        area = plane_area(self.metric, x, y)
        lowered = self.metric * sp.Matrix(list(x))
        terms = [value * lowered[i] * y[j] * x[k] * y[l] for (i, j, k, l), value in self.riemann.items()]
        return sp.cancel(sp.Add(*terms) / area)


def plane_area(metric: sp.MatrixBase, x: Sequence[sp.Expr], y: Sequence[sp.Expr]) -> sp.Expr:
    """|X|²|Y|² − ⟨X, Y⟩², the squared area that two tangent vectors span. Raises MetricError where it is zero."""
    pair = sp.Matrix([list(x), list(y)])
    area = sp.cancel((pair * metric * pair.T).det())
    if area == 0:
        raise MetricError("X and Y span no plane on which the metric is regular: pass two independent tangent vectors")
    return area


def curvature(metric: sp.MatrixBase, christoffel: ChristoffelSymbols) -> Curvature:
    """Curvature of a k×k metric with its Christoffel symbols; k^4 components, for small k."""
    found = _rational_curvature(metric, christoffel.coordinates)
    return _symbolic_curvature(metric, christoffel) if found is None else found


def _symbolic_curvature(metric: sp.MatrixBase, christoffel: ChristoffelSymbols) -> Curvature:
    """Curvature with entries of any kind, by the definition."""
    size = range(metric.rows)
    riemann = {}
    for i, j, k in product(size, repeat=3):
        for l in range(k):
            value = sp.cancel(_component(christoffel, i, j, k, l))
            if value != 0:
                riemann[i, j, k, l], riemann[i, j, l, k] = value, -value
    ricci = _ricci(riemann, metric.rows).applyfunc(sp.cancel)
    scalar = sp.factor(sp.cancel((metric.inv() * ricci).trace())) if riemann else sp.S.Zero
    return Curvature(riemann, sp.ImmutableMatrix(ricci), scalar, sp.ImmutableMatrix(metric))


def _rational_curvature(metric: sp.MatrixBase, coordinates: Sequence[sp.Symbol]) -> Curvature | None:
    """Curvature with rational entries, in a polynomial ring localized at their denominators and the determinant."""
    entries = metric_entries(metric, coordinates)
    found = rational_field(entries, coordinates)
    if found is None:
        return None
    fractions = {key: _localized(value) for key, value in zip(entries, found[1], strict=True)}
    ring = next(iter(fractions.values())).numerator.ring
    size, zero = range(len(coordinates)), Localized(ring.zero, {})
    rows = [[fractions.get((min(i, j), max(i, j)), zero) for j in size] for i in size]
    inverse = inverse_matrix(rows)
    lowered = _lowered_components(rows, inverse, [_generator(ring, symbol) for symbol in coordinates])

    def total(terms: Iterable[Localized]) -> Localized:
        return localized_sum(terms, ring).reduced()

    raised = {
        (i, j, k, l): total(inverse[i][a] * lowered[a, j, k, l] for a in size)
        for i, j, k in product(size, repeat=3)
        for l in size
    }
    ricci = [[total(raised[i, j, i, l] for i in size) for l in size] for j in size]
    scalar = total(inverse[j][l] * ricci[j][l] for j, l in product(size, repeat=2))
    riemann = {key: value.as_expr() for key, value in raised.items() if value}
    shown = scalar.as_expr()
    return Curvature(
        riemann,
        sp.ImmutableMatrix([[value.as_expr() for value in row] for row in ricci]),
        sp.factor(shown) if len(scalar.numerator) <= FACTORED_TERMS else shown,
        sp.ImmutableMatrix(metric),
    )


def _localized(value: Any) -> Localized:
    """An element of a fraction field, over a ring with rational coefficients."""
    ring = value.numer.ring.clone(domain=sp.QQ)
    return Localized(value.numer.set_ring(ring), {}) * Localized(value.denom.set_ring(ring), {}).reciprocal()


def _generator(ring: Any, symbol: sp.Symbol) -> Any:
    return ring.gens[ring.symbols.index(symbol)] if symbol in ring.symbols else None


def _lowered_components(rows: Rows, inverse: Rows, generators: Sequence[Any]) -> Mapping[Indices, Localized]:
    """R_ijkl with the formula of `curvature_at`; the independent ones are derived, the others follow by symmetry."""
    size, ring = range(len(rows)), rows[0][0].numerator.ring
    slopes = [[[_slope(entry, x) for x in generators] for entry in row] for row in rows]
    first = _first_kind(slopes, ring)
    second = {
        (m, *pair): localized_sum((inverse[m][n] * first[n, *pair] for n in size), ring).reduced()
        for m in size
        for pair in index_pairs(len(rows))
    }
    half, minus = Localized(ring.one / 2, {}), Localized(-ring.one, {})

    def part(a: int, b: int, c: int, d: int) -> Localized:
        """T_{ab,cd}."""
        (a, b), (c, d) = sorted((a, b)), sorted((c, d))
        bends = [half * _slope(slopes[c][d][a], generators[b]), half * _slope(slopes[a][b][c], generators[d])]
        return localized_sum([*bends, *(first[m, a, b] * second[m, c, d] for m in size)], ring)

    lowered: dict[Indices, Localized] = defaultdict(lambda: Localized(ring.zero, {}))
    for plane, other in combinations_with_replacement(combinations(size, 2), 2):
        (i, j), (k, l) = plane, other
        value = (part(j, k, i, l) + minus * part(j, l, i, k)).reduced()
        for (p, q), (r, s) in ((plane, other), (other, plane)):
            lowered[p, q, r, s] = lowered[q, p, s, r] = value
            lowered[q, p, r, s] = lowered[p, q, s, r] = minus * value
    return lowered


def _slope(value: Localized, generator: Any) -> Localized:
    """A derivative; None stands for a coordinate that no entry depends on."""
    return Localized(value.numerator.ring.zero, {}) if generator is None else value.diff(generator).reduced()


def _first_kind(slopes: Sequence[Sequence[Sequence[Localized]]], ring: Any) -> dict[tuple[int, int, int], Localized]:
    """Γ_{m,kl} = ½(∂_k g_lm + ∂_l g_km − ∂_m g_kl) for k <= l, from slopes[i][j][k] = ∂_k g_ij."""
    half, minus = Localized(ring.one / 2, {}), Localized(-ring.one, {})
    return {
        (m, k, l): localized_sum([slopes[l][m][k], slopes[k][m][l], minus * slopes[k][l][m]], ring) * half
        for m in range(len(slopes))
        for k, l in index_pairs(len(slopes))
    }


def _component(christoffel: ChristoffelSymbols, i: int, j: int, k: int, l: int) -> sp.Expr:
    x, gamma = christoffel.coordinates, christoffel.get
    derivatives = sp.diff(gamma(i, l, j), x[k]) - sp.diff(gamma(i, k, j), x[l])
    products = [gamma(i, k, m) * gamma(m, l, j) - gamma(i, l, m) * gamma(m, k, j) for m in range(len(x))]
    return sp.Add(derivatives, *products)


def _ricci(riemann: Riemann, size: int) -> sp.Matrix:
    sums = sp.zeros(size)
    for (i, j, k, l), value in riemann.items():
        if i == k:
            sums[j, l] += value
    return sums


def first_kind_at(slopes: Mapping[tuple[int, ...], Any], size: int, field: Any) -> DomainMatrix:
    """Γ_{m,kl} at a point: row m, one column for each pair k <= l of `index_pairs`.

    slopes: nonzero {(i, j, k): ∂_k g_ij, i <= j} as elements of the field.
    """
    place = {pair: number for number, pair in enumerate(index_pairs(size))}
    rows: dict[int, dict[int, Any]] = {}
    for (i, j, k), slope in slopes.items():
        half = slope / 2
        shares = [(k, (i, j), -half)]
        shares += [
            (lower, (min(k, free), max(k, free)), 2 * half if k == free else half) for lower, free in {(i, j), (j, i)}
        ]
        for m, pair, share in shares:
            row = rows.setdefault(m, {})
            row[place[pair]] = row.get(place[pair], field.zero) + share
    return DomainMatrix(rows, (size, len(place)), field)


def index_pairs(size: int) -> list[tuple[int, int]]:
    """The pairs (k, l) with k <= l of lower indices, in order."""
    return list(combinations_with_replacement(range(size), 2))


def curvature_at(
    metric: DomainMatrix, slopes: Mapping[tuple[int, ...], Any], bends: Mapping[tuple[int, ...], Any]
) -> Curvature:
    """Curvature at one point, by exact linear algebra over a field.

    With T_{ab,cd} = ½(∂_a∂_b g_cd + ∂_c∂_d g_ab) + g^{mn} Γ_{m,ab} Γ_{n,cd}, R_ijkl = T_{jk,il} − T_{jl,ik}
    (Landau and Lifshitz, The Classical Theory of Fields, § 92).

    metric: regular k×k matrix over the field.
    slopes, bends: nonzero first and second derivatives {(i, j, k): ∂_k g_ij} and {(i, j, k, l): ∂_k∂_l g_ij}, i <= j
    and k <= l, as elements of the field.
    """
    size, field = metric.shape[0], metric.domain
    first, inverse = first_kind_at(slopes, size, field), metric.inv()
    tensor = _second_order_part(first, inverse, bends)
    lowered = _lowered(tensor, size, field)
    raised = (inverse * lowered).to_Matrix().todok()
    antisymmetric = [(j, k, l) for j in range(size) for k in range(size) for l in range(k)]
    riemann: Riemann = {}
    for (i, column), value in raised.items():
        j, k, l = antisymmetric[column]
        riemann[i, j, k, l], riemann[i, j, l, k] = value, -value
    ricci = _ricci(riemann, size).applyfunc(sp.cancel)
    scalar = sp.cancel((inverse.to_Matrix() * ricci).trace())
    return Curvature(riemann, sp.ImmutableMatrix(ricci), scalar, sp.ImmutableMatrix(metric.to_Matrix()))


def _second_order_part(
    first: DomainMatrix, inverse: DomainMatrix, bends: Mapping[tuple[int, ...], Any]
) -> list[list[Any]]:
    """T_{ab,cd} for pairs a <= b and c <= d."""
    place = {pair: number for number, pair in enumerate(index_pairs(inverse.shape[0]))}
    tensor = (first.transpose() * (inverse * first)).to_list()
    for (i, j, k, l), bend in bends.items():
        row, column = place[k, l], place[i, j]
        tensor[row][column] += bend / 2
        tensor[column][row] += bend / 2
    return tensor


def _lowered(tensor: list[list[Any]], size: int, field: Any) -> DomainMatrix:
    """R_ijkl: row i, one column for each j and k > l."""
    indices = range(size)
    place = [[0] * size for _ in indices]
    for number, (a, b) in enumerate(index_pairs(size)):
        place[a][b] = place[b][a] = number
    rows = [
        [
            tensor[place[j][k]][place[i][l]] - tensor[place[j][l]][place[i][k]]
            for j in indices
            for k in indices
            for l in range(k)
        ]
        for i in indices
    ]
    return DomainMatrix(rows, (size, size * size * (size - 1) // 2), field)
