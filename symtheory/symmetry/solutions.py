"""Exact solutions of the linear systems that propagation leaves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import TypeVar

import flint
import sympy as sp

Unknown = TypeVar("Unknown")


def nullspace(rows: Sequence[Sequence[sp.Expr]], width: int) -> list[list[sp.Rational]]:
    """Basis of {x : rows · x = 0} over the rationals: primitive integer vectors with positive leading entry."""
    if not rows:
        return [[sp.Integer(int(i == j)) for j in range(width)] for i in range(width)]
    # SymPy's elimination over the rationals is ten times slower at 200 × 200 than FLINT's over the integers.
    basis, count = flint.fmpz_mat([_integers(row) for row in rows]).nullspace()
    columns = [[int(basis[place, column]) for place in range(width)] for column in range(int(count))]
    return [primitive(list(map(sp.Integer, column))) for column in columns]


def _integers(row: Sequence[sp.Expr]) -> list[int]:
    """A multiple of a rational row without denominators."""
    entries = [sp.Rational(entry) for entry in row]
    denominator = sp.ilcm(1, *(entry.q for entry in entries))
    return [int(entry * denominator) for entry in entries]


def primitive(vector: Sequence[sp.Rational]) -> list[sp.Rational]:
    """The multiple of a nonzero rational vector with integers, no common divisor and a positive leading entry."""
    denominator = sp.ilcm(1, *(entry.q for entry in vector))
    integers = [entry * denominator for entry in vector]
    common = sp.igcd(0, *integers)
    leading = next(entry for entry in integers if entry != 0)
    return [entry / common * sp.sign(leading) for entry in integers]


def solve_forms(
    equations: Iterable[Mapping[Unknown, Fraction]], unknowns: Sequence[Unknown]
) -> list[dict[Unknown, sp.Rational]]:
    """Basis of the assignments that make every form vanish, zero entries left out; each within connected unknowns."""
    zeros, forms = _held_at_zero(equations)
    groups = connected(forms, [unknown for unknown in unknowns if unknown not in zeros])
    solutions: list[dict[Unknown, sp.Rational]] = []
    for group, own in groups:
        rows = [[_rational(form.get(unknown, Fraction(0))) for unknown in group] for form in own]
        solutions += [
            {unknown: value for unknown, value in zip(group, vector, strict=True) if value != 0}
            for vector in nullspace(rows, len(group))
        ]
    return solutions


def solve_forms_mod_2(
    equations: Iterable[Mapping[Unknown, Fraction]], unknowns: Sequence[Unknown]
) -> list[frozenset[Unknown]]:
    """Basis of the sets of unknowns that meet every form in an even number of odd coefficients."""
    places = {unknown: index for index, unknown in enumerate(unknowns)}
    pivots: dict[int, int] = {}
    for form in equations:
        row = sum(1 << places[unknown] for unknown, coefficient in form.items() if coefficient % 2 == 1)
        for pivot, reduced in pivots.items():
            if row >> pivot & 1:
                row ^= reduced
        if row:
            pivot = row.bit_length() - 1
            pivots = {place: other ^ row if other >> pivot & 1 else other for place, other in pivots.items()}
            pivots[pivot] = row
    free = [place for place in range(len(unknowns)) if place not in pivots]
    return [
        frozenset(unknowns[place] for place in [choice, *(p for p, row in pivots.items() if row >> choice & 1)])
        for choice in free
    ]


def _held_at_zero(
    equations: Iterable[Mapping[Unknown, Fraction]],
) -> tuple[set[Unknown], list[dict[Unknown, Fraction]]]:
    """Unknowns that forms of one term hold at zero, and the other forms without them."""
    forms = [dict(form) for form in equations]
    zeros: set[Unknown] = set()
    while single := {next(iter(form)) for form in forms if len(form) == 1}:
        zeros |= single
        reduced = [{unknown: c for unknown, c in form.items() if unknown not in single} for form in forms]
        forms = [form for form in reduced if form]
    return zeros, forms


def connected(
    forms: Sequence[Mapping[Unknown, Fraction]], unknowns: Sequence[Unknown]
) -> list[tuple[list[Unknown], list[Mapping[Unknown, Fraction]]]]:
    """Groups of unknowns that forms tie together, in the order given, each with its forms."""
    leader = {unknown: unknown for unknown in unknowns}

    def find(unknown: Unknown) -> Unknown:
        while leader[unknown] != unknown:
            leader[unknown] = leader[leader[unknown]]
            unknown = leader[unknown]
        return unknown

    for form in forms:
        first, *others = form
        for other in others:
            leader[find(other)] = find(first)
    groups: dict[Unknown, tuple[list[Unknown], list[Mapping[Unknown, Fraction]]]] = {}
    for unknown in unknowns:
        groups.setdefault(find(unknown), ([], []))[0].append(unknown)
    for form in forms:
        groups[find(next(iter(form)))][1].append(form)
    return list(groups.values())


def _rational(value: Fraction) -> sp.Rational:
    return sp.Rational(value.numerator, value.denominator)


def is_in_span(vector: Sequence[sp.Expr], basis: Sequence[Sequence[sp.Expr]]) -> bool:
    """Exact test over the rationals."""
    if not any(vector):
        return True
    if not basis:
        return False
    stacked = sp.Matrix([list(row) for row in basis])
    return bool(stacked.rank() == stacked.col_join(sp.Matrix([list(vector)])).rank())
