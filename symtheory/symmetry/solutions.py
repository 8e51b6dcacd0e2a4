"""Exact solutions of the linear systems that propagation leaves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import sympy as sp
from sympy.polys.domains import QQ
from sympy.polys.matrices import DomainMatrix
from sympy.utilities.iterables import connected_components

from symtheory.graph.action import Form, Unknown


def nullspace(rows: Sequence[Sequence[sp.Expr]], width: int) -> list[list[sp.Rational]]:
    """Basis of {x : rows · x = 0} over the rationals: primitive integer vectors with positive leading entry."""
    if not rows:
        return [[sp.Integer(int(i == j)) for j in range(width)] for i in range(width)]
    matrix = DomainMatrix([[QQ.from_sympy(entry) for entry in row] for row in rows], (len(rows), width), QQ)
    return [primitive(row) for row in matrix.nullspace().to_Matrix().tolist()]


def primitive(vector: Sequence[sp.Rational]) -> list[sp.Rational]:
    """The multiple of a nonzero rational vector with integers, no common divisor and a positive leading entry."""
    denominator = sp.ilcm(1, *(entry.q for entry in vector))
    integers = [entry * denominator for entry in vector]
    common = sp.igcd(0, *integers)
    leading = next(entry for entry in integers if entry != 0)
    return [entry / common * sp.sign(leading) for entry in integers]


def solve_forms(equations: Iterable[Form], unknowns: Sequence[Unknown]) -> list[dict[Unknown, sp.Rational]]:
    """Basis of the assignments that make every form vanish, zero entries left out."""
    rows = [[form.get(unknown, sp.Integer(0)) for unknown in unknowns] for form in equations]
    return [
        {unknown: value for unknown, value in zip(unknowns, vector, strict=True) if value != 0}
        for vector in nullspace(rows, len(unknowns))
    ]


def connected_unknowns(equations: Sequence[Form], unknowns: Sequence[Unknown]) -> list[list[Unknown]]:
    """Groups of unknowns that equations tie together, in the order given."""
    ties = [pair for form in equations for pair in pairwise(form)]
    groups = connected_components((list(unknowns), [*ties, *((b, a) for a, b in ties)]))
    return sorted((sorted(group, key=unknowns.index) for group in groups), key=lambda g: unknowns.index(g[0]))


def is_in_span(vector: Sequence[sp.Expr], basis: Sequence[Sequence[sp.Expr]]) -> bool:
    """Exact test over the rationals."""
    if not any(vector):
        return True
    if not basis:
        return False
    stacked = sp.Matrix([list(row) for row in basis])
    return bool(stacked.rank() == stacked.col_join(sp.Matrix([list(vector)])).rank())
