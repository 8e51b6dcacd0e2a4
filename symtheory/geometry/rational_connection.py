"""Christoffel symbols of one block whose entries are rational functions, in a localized polynomial ring.

With a common denominator q per metric component, g = P/q and g^{-1} = q adj(P)/det(P): all sums are taken between
polynomials, and each symbol is reduced once, by trial division with the factors of det(P) and q.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from math import comb, prod
from typing import Any

import sympy as sp
from sympy.polys.constructor import construct_domain

from symtheory.geometry.cofactors import adjugate_and_determinant
from symtheory.geometry.first_kind import Symbols
from symtheory.geometry.localization import Factored, factored, localized_expression
from symtheory.geometry.metric_blocks import connected_components
from symtheory.geometry.metric_entries import Entries, singular_block
from symtheory.geometry.symbolic_connection import symbolic_connection

Polynomials = dict[tuple[int, int, int], Any]

# Beyond this many terms in a determinant the symbols stay short only as products: they are left unexpanded.
EXPANDED_TERMS = 300

# Beyond this many possible monomials in a determinant, and products in its expansion, even computing it in the ring
# costs more than it is worth.
POSSIBLE_TERMS = 10_000
POSSIBLE_PRODUCTS = 500_000


@dataclass(frozen=True)
class _Component:
    """Coordinates joined by nonzero metric entries: P, its adjugate and determinant, the denominator q."""

    members: tuple[int, ...]
    entries: dict[tuple[int, int], Any]
    adjugate: dict[tuple[int, int], Any]
    determinant: Factored
    denominator: Factored


def rational_field(entries: Entries, coordinates: Sequence[sp.Symbol]) -> tuple[Any, list[Any]] | None:
    """Fraction field over the rationals that holds the entries, and the entries in it; None if there is none."""
    domain, elements = construct_domain(list(entries.values()), field=True, composite=True)
    if not domain.is_FractionField or not (domain.domain.is_ZZ or domain.domain.is_QQ):
        return None
    moving = set(coordinates)
    if any(not s.is_Symbol and s.free_symbols & moving for s in domain.symbols):
        return None
    return domain, elements


def rational_connection(entries: Entries, coordinates: Sequence[sp.Symbol]) -> Symbols | None:
    """Symbols {(i, k, l): Γ^i_kl, k <= l} of one block, or None when an entry is not a rational function
    or the determinant could be too long to expand.

    Raises MetricError when the block is singular.
    """
    found = rational_field(entries, coordinates)
    if found is None:
        return None
    field, elements = found
    values = dict(zip(entries, elements, strict=True))
    groups = connected_components(len(coordinates), entries)
    cleared = [_clear_denominators(field, members, values) for members in groups]
    if any(_may_be_long(own[0], members) for members, own in zip(groups, cleared, strict=True)):
        return None
    components = [
        _component(field, members, polynomials, denominator, coordinates)
        for members, (polynomials, denominator) in zip(groups, cleared, strict=True)
    ]
    home = {index: component for component in components for index in component.members}
    numerators = _first_kind_numerators(field, components, coordinates)
    sums = _raise_index(home, numerators, field.field.ring)
    if any(len(component.determinant.polynomial) > EXPANDED_TERMS for component in components):
        return symbolic_connection(entries, coordinates, support=sums)
    return {
        (i, k, l): _symbol(home[i], home[k] if home[k] is home[l] else home[i], total)
        for (i, k, l), total in sums.items()
    }


def _clear_denominators(
    field: Any, members: tuple[int, ...], values: dict[tuple[int, int], Any]
) -> tuple[dict[tuple[int, int], Any], Any]:
    """Polynomial entries P and the denominator q of one component, g = P/q."""
    own = {(i, j): value for (i, j), value in values.items() if i in members}
    denominator = reduce(lambda a, b: a.lcm(b), (value.denom for value in own.values()), field.field.ring.one)
    return {key: value.numer * denominator.exquo(value.denom) for key, value in own.items()}, denominator


def _may_be_long(polynomials: dict[tuple[int, int], Any], members: tuple[int, ...]) -> bool:
    """Whether neither the degree nor the number of products in its expansion bounds the determinant of a component."""
    used = {place for value in polynomials.values() for exponents in value for place, e in enumerate(exponents) if e}
    degree = len(members) * max((sum(exponents) for value in polynomials.values() for exponents in value), default=0)
    in_row = dict.fromkeys(members, 0)
    for (i, j), value in polynomials.items():
        for row in {i, j}:
            in_row[row] += len(value)
    return comb(degree + len(used), len(used)) > POSSIBLE_TERMS and prod(in_row.values()) > POSSIBLE_PRODUCTS


def _component(
    field: Any,
    members: tuple[int, ...],
    entries: dict[tuple[int, int], Any],
    denominator: Any,
    coordinates: Sequence[sp.Symbol],
) -> _Component:
    ring = field.field.ring
    place = {index: row for row, index in enumerate(members)}
    rows = [[ring.zero] * len(members) for _ in members]
    for (i, j), value in entries.items():
        rows[place[i]][place[j]] = rows[place[j]][place[i]] = value
    adjugate, determinant = adjugate_and_determinant(rows, ring.one)
    if not determinant:
        raise singular_block(coordinates[index] for index in members)
    inverse = {(i, j): adjugate[place[i]][place[j]] for i in members for j in members}
    inverse, divisor = _lowest_terms(inverse, factored(determinant))
    return _Component(members, entries, inverse, divisor, factored(denominator))


def _lowest_terms(
    adjugate: dict[tuple[int, int], Any], determinant: Factored
) -> tuple[dict[tuple[int, int], Any], Factored]:
    """Adjugate and determinant without the factors that they share: those of a metric of inverses are many."""
    powers = dict(determinant.powers)
    polynomial = determinant.polynomial
    for factor in determinant.powers:
        while powers[factor]:
            divided = {key: value.div(factor) for key, value in adjugate.items()}
            if any(remainder for _, remainder in divided.values()):
                break
            adjugate = {key: quotient for key, (quotient, _) in divided.items()}
            polynomial = polynomial.exquo(factor)
            powers[factor] -= 1
    return adjugate, Factored(polynomial, determinant.constant, powers)


def _first_kind_numerators(field: Any, components: list[_Component], coordinates: Sequence[sp.Symbol]) -> Polynomials:
    """2 q² Γ_{m,kl} with k <= l; q belongs to the one component whose entries contribute.

    Γ_{m,kl} = ½(∂_k g_lm + ∂_l g_km − ∂_m g_kl): if k and l share a component it is theirs, else it is m's.
    """
    generators = dict(zip(field.symbols, field.field.ring.gens, strict=True))
    moving = [(k, generators[x]) for k, x in enumerate(coordinates) if x in generators]
    total: Polynomials = defaultdict(lambda: field.field.ring.zero)
    for component in components:
        q = component.denominator.polynomial
        for k, x in moving:
            slope = q.diff(x)
            for (i, j), value in component.entries.items():
                derivative = value.diff(x) * q - value * slope
                if derivative:
                    _scatter(total, i, j, k, derivative)
    return {key: value for key, value in total.items() if value}


def _scatter(total: Polynomials, i: int, j: int, k: int, derivative: Any) -> None:
    """Add what ∂_k g_ij (i <= j) contributes to twice the symbols of the first kind."""
    total[k, i, j] -= derivative
    for lower, free in {(i, j), (j, i)}:
        # The term ∂_k g_{free,lower} counts twice where both lower indices equal k.
        total[lower, min(k, free), max(k, free)] += derivative * (2 if k == free else 1)


def _raise_index(home: dict[int, _Component], numerators: Polynomials, ring: Any) -> Polynomials:
    """Nonzero sums Σ_m adj(P)^im · (numerator of Γ_{m,kl})."""
    sums: Polynomials = defaultdict(lambda: ring.zero)
    for (m, k, l), value in numerators.items():
        component = home[m]
        for i in component.members:
            factor = component.adjugate.get((i, m))
            if factor:
                sums[i, k, l] += factor * value
    return {key: total for key, total in sums.items() if total}


def _symbol(upper: _Component, source: _Component, total: Any) -> sp.Expr:
    """q_upper · total / (2 det(P_upper) q_source²) as an expression in lowest terms."""
    half = sp.Rational(1, 2)
    powers = Counter(upper.determinant.powers)
    powers.subtract(upper.denominator.powers)
    for factor, power in source.denominator.powers.items():
        powers[factor] += 2 * power
    scale = half * upper.denominator.constant / (upper.determinant.constant * source.denominator.constant**2)
    return localized_expression(total, powers, scale)
