"""Covariants: matrices made of the point that transform with a group, from which invariant metrics are built.

Where parameters meet a group along their rows, their Gram matrices along the rows transform with it: P ↦ gP makes
PPᵀ ↦ g PPᵀ gᵀ. Where another factor acts on the columns as well, a covariant of that factor goes in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import sympy as sp

from symtheory.errors import CalculusError
from symtheory.geometry.matrix.model import COLUMNS, ROWS, WHOLE, MatrixModel
from symtheory.matrix_calculus.definitions import Definitions
from symtheory.matrix_calculus.polynomial import (
    Polynomial,
    diagonal_part,
    identity,
    inverse,
    letter,
)
from symtheory.matrix_calculus.trace_form import TraceForm, trace
from symtheory.symmetry.edge_group import GENERAL, EdgeGroup

Side = tuple[str, int]
"""A parameter, and its rows or its columns."""

Character = tuple[tuple[str, sp.Rational], ...]
"""Powers of numbers by which something is multiplied: factor → exponent, zeros left out, sorted."""


def character(powers: Mapping[str, Any]) -> Character:
    """Powers by name as a character."""
    return tuple(sorted((name, sp.Rational(power)) for name, power in powers.items() if power != 0))


def combined(*weighted: tuple[Character, Any]) -> Character:
    """Σ weight · character."""
    total: dict[str, Any] = {}
    for powers, weight in weighted:
        for name, power in powers:
            total[name] = total.get(name, 0) + weight * power
    return character(total)


@dataclass(frozen=True)
class Transformation:
    """How one side of a parameter is moved: by a change of basis (g, or its contragredient), or by numbers."""

    index: int
    basis: tuple[str, int] | None
    numbers: Character

    @property
    def is_moved(self) -> bool:
        return self.basis is not None or bool(self.numbers)


@dataclass(frozen=True)
class Covariant:
    """A named matrix that transforms as K ↦ g K gᵀ, or a diagonal one or a number multiplied by powers of numbers.

    symbol: its name among the definitions; index: the index it lives on, None for a number; basis: factor and sign, +1
    for g and −1 for the contragredient; numbers: by what it is multiplied; members: sides whose squares it sums.
    """

    symbol: Any
    index: int | None
    basis: tuple[str, int] | None
    numbers: Character
    members: tuple[Side, ...] = ()

    def power(self, exponent: Any) -> Polynomial:
        """The symbol, or its inverse, as a polynomial; a diagonal one to an integer power."""
        base = letter(self.symbol)
        if exponent < 0:
            base = inverse(base)
        result = base
        for _ in range(abs(int(exponent)) - 1):
            result = result @ base
        return result


Powers = tuple[tuple[Covariant, Any], ...]
"""A product of covariants, each with its exponent."""


class Covariants:
    """All covariants that a model offers, and the weights that can be made of them.

    definitions: what their symbols stand for.
    """

    def __init__(self, model: MatrixModel, taken: Iterable[str] = ()) -> None:
        self.model = model
        self.definitions = Definitions(taken={*model.views, *taken})
        self.found: list[Covariant] = []
        self._classes = self._sides_alike()
        waiting = dict(self._classes)
        while waiting:
            chosen = self._ready(waiting)
            if chosen is None:
                break
            key, members = chosen
            del waiting[key]
            self._define(members)
        self._define_numbers()

    def transformation(self, side: Side) -> Transformation:
        """What moves one side of a parameter, rotations apart: they leave the identity as it is."""
        basis, numbers = None, {}
        for meeting in self.model.at(*side):
            factor = self.model.factors[meeting.factor]
            if isinstance(factor, EdgeGroup):
                if factor.algebra == GENERAL:
                    basis = (factor.name, int(sp.sign(meeting.exponent)))
            else:
                numbers[factor.name] = meeting.exponent
        return Transformation(self._index(side), basis, character(numbers))

    def whole(self, parameter: str) -> Character:
        """The numbers by which a parameter is multiplied as a whole."""
        return character({m.factor: m.exponent for m in self.model.at(parameter, WHOLE)})

    @cached_property
    def _indices(self) -> dict[Side, int]:
        """Sides that a factor meets together have one index."""
        sides = [(name, side) for name in self.model.views for side in (ROWS, COLUMNS)]
        parent = {side: side for side in sides}

        def root(side: Side) -> Side:
            while parent[side] != side:
                side = parent[side]
            return side

        for name in self.model.factors:
            own = [(m.parameter, m.where) for m in self.model.meetings if m.factor == name and m.where != WHOLE]
            for other in own[1:]:
                parent[root(other)] = root(own[0])
        numbers: dict[Side, int] = {}
        return {side: numbers.setdefault(root(side), len(numbers)) for side in sides}

    def _index(self, side: Side) -> int:
        return self._indices[side]

    def _sides_alike(self) -> dict[Any, list[Side]]:
        """Sides moved in the same way, by class."""
        classes: dict[Any, list[Side]] = {}
        for name in self.model.views:
            for side in (ROWS, COLUMNS):
                moved = self.transformation((name, side))
                if moved.is_moved and self.model.centred(name, letter(self.model.symbols[name])):
                    classes.setdefault((moved, self.whole(name)), []).append((name, side))
        return classes

    def _ready(self, waiting: Mapping[Any, list[Side]]) -> tuple[Any, list[Side]] | None:
        """A class whose Gram matrix can be written down, through covariants moved the opposite way if possible.

        Where there is none, the one with most members whose share can be written down.
        """
        for opposite_only in (True, False):
            for key, members in waiting.items():
                if all(self._between(side, opposite_only) is not None for side in members):
                    return key, members
        usable = {
            key: [side for side in members if self._between(side) is not None] for key, members in waiting.items()
        }
        # A vector alone has a Gram matrix of rank one: members with two sides of their own come first.
        best = max(usable, key=lambda key: (sum(not self._is_vector(side) for side in usable[key]), len(usable[key])))
        return (best, usable[best]) if usable[best] else None

    def _is_vector(self, side: Side) -> bool:
        name, where = side
        return bool(self.model.views[name].shape[1 - where] == 1)

    def _between(self, side: Side, opposite_only: bool = False) -> tuple[Polynomial, Character] | None:
        """The weight on the other side of a parameter that makes its Gram matrix covariant, with what is left over."""
        name, where = side
        other = self.transformation((name, 1 - where))
        if not other.is_moved:
            return identity(self.model.views[name].shape[1 - where]), ()
        return next(iter(self._weights(other, own_first=False, own=not opposite_only)), None)

    def weight(self, moved: Transformation, *, own_first: bool) -> tuple[Polynomial, Character]:
        """A matrix w that makes ξ w ξᵀ free of a side that is moved so, with the numbers that are left over.

        own_first: prefer the inverse of the covariant that is moved alike to the one that is moved the opposite way.
        Raises ``CalculusError`` where the point has no such matrix.
        """
        for found in self._weights(moved, own_first=own_first):
            return found
        raise CalculusError("a group acts on parameters that give no Gram matrix for it: declare a metric of your own")

    def _weights(
        self, moved: Transformation, *, own_first: bool, own: bool = True
    ) -> Iterator[tuple[Polynomial, Character]]:
        alike = [c for c in self.found if c.index == moved.index and self._is_alike(c, moved)]
        if moved.basis is not None:
            name, sign = moved.basis
            against: list[Powers] = [((c, sp.Integer(1)),) for c in self.found if c.basis == (name, -sign)]
        else:
            others = [c for c in self.found if c.index == moved.index and c not in alike]
            against = list(self._powers(others, moved.numbers))
        inverses: list[Powers] = [((c, sp.Integer(-1)),) for c in alike] if own else []
        for powers in [*inverses, *against] if own_first else [*against, *inverses]:
            product = identity(powers[0][0].symbol.shape[0])
            for covariant, power in powers:
                product = product @ covariant.power(power)
            yield product, combined(*((c.numbers, p) for c, p in powers), (moved.numbers, 2))

    def _is_alike(self, covariant: Covariant, moved: Transformation) -> bool:
        if moved.basis is not None:
            return covariant.basis == moved.basis
        names = {name for name, _ in moved.numbers}
        return tuple(pair for pair in covariant.numbers if pair[0] in names or self._is_local(pair[0])) == combined(
            (moved.numbers, 2)
        )

    def _is_local(self, factor: str) -> bool:
        return any(m.factor == factor and m.where != WHOLE for m in self.model.meetings)

    def _powers(self, covariants: list[Covariant], moved: Character) -> Iterator[Powers]:
        """Products of integer powers of one, two, … diagonal covariants that undo what moves a side, twice."""
        wanted = combined((moved, -2))
        for count in range(1, len(covariants) + 1):
            for chosen in combinations(covariants, count):
                local = [tuple(p for p in c.numbers if self._is_local(p[0])) for c in chosen]
                exponents = solve_powers(local, wanted)
                if exponents is not None and all(power.is_Integer and power != 0 for power in exponents):
                    yield tuple(zip(chosen, exponents, strict=True))

    def _define(self, members: list[Side]) -> None:
        """The Gram matrices of sides moved alike, summed where what is left over agrees."""
        groups: dict[Character, list[tuple[Side, Polynomial]]] = {}
        for side in members:
            between = self._between(side)
            assert between is not None  # only such sides are chosen
            weight, left = between
            name, where = side
            value = self.model.centred(name, letter(self.model.symbols[name]))
            gram = value @ weight @ value.T if where == ROWS else value.T @ weight @ value
            groups.setdefault(combined((self.whole(name), 2), (left, 1)), []).append((side, gram))
        for left, grams in groups.items():
            sides = tuple(side for side, _ in grams)
            total = sum((gram for _, gram in grams[1:]), grams[0][1])
            self._add(sides, total, left)

    def _add(self, sides: tuple[Side, ...], gram: Polynomial, left: Character) -> None:
        moved = self.transformation(sides[0])
        names = "_".join(dict.fromkeys(name for name, _ in sides))
        if moved.basis is not None:
            symbol = self.definitions.matrix(f"gram_{names}", gram)
        else:
            symbol = self.definitions.matrix(f"squares_{names}", diagonal_part(gram), diagonal=True)
        numbers = combined((moved.numbers, 2), (left, 1))
        self.found.append(Covariant(symbol, moved.index, moved.basis, numbers, sides))

    def _define_numbers(self) -> None:
        """Numbers that only whole rescalings change: squared norms, and traces of opposite covariants."""
        if not any(m.where == WHOLE for m in self.model.meetings):
            return
        alike: dict[Character, list[str]] = {}
        for name, symbol in self.model.symbols.items():
            moved = any(self.transformation((name, side)).is_moved for side in (ROWS, COLUMNS))
            if self.whole(name) and not moved and self.model.centred(name, letter(symbol)):
                alike.setdefault(self.whole(name), []).append(name)
        for powers, names in alike.items():
            parts = [self.model.centred(name, letter(self.model.symbols[name])) for name in names]
            total = sum((trace(part.T @ part) for part in parts), TraceForm({}))
            number = self.definitions.scalar(f"square_{'_'.join(names)}", total)
            members = tuple((name, WHOLE) for name in names)
            self.found.append(Covariant(number, None, None, combined((powers, 2)), members))
        for first, second in combinations([c for c in self.found if c.index is not None], 2):
            self._define_pairing(first, second)

    def _define_pairing(self, first: Covariant, second: Covariant) -> None:
        if first.index != second.index:
            return
        numbers = combined((first.numbers, 1), (second.numbers, 1))
        opposite = first.basis is not None and second.basis == (first.basis[0], -first.basis[1])
        if not numbers or (first.basis is not None and not opposite) or any(self._is_local(n) for n, _ in numbers):
            return
        name = f"pairing_{first.symbol.name.partition('_')[2]}_{second.symbol.name.partition('_')[2]}"
        number = self.definitions.scalar(name, trace(letter(first.symbol) @ letter(second.symbol)))
        self.found.append(Covariant(number, None, None, numbers))

    def number(self, wanted: Character, parameter: str, *, own_first: bool) -> sp.Expr:
        """A product of powers of numbers that is multiplied as wanted. Raises ``CalculusError`` where there is none.

        own_first: prefer a number that the parameter itself is squared in to one that it is not.
        """
        if not wanted:
            return sp.S.One
        numbers = [c for c in self.found if c.index is None]
        numbers.sort(key=lambda c: ((parameter, WHOLE) in c.members) != own_first)
        for count in range(1, len(numbers) + 1):
            for chosen in combinations(numbers, count):
                exponents = solve_powers([c.numbers for c in chosen], wanted)
                if exponents is not None:
                    return sp.Mul(*(c.symbol**p for c, p in zip(chosen, exponents, strict=True)))
        powers = ", ".join(f"{name}^{power}" for name, power in wanted)
        raise CalculusError(f"no number made of the point is multiplied by {powers}: declare a metric of your own")


def solve_powers(characters: list[Character], wanted: Character) -> list[sp.Rational] | None:
    """Exponents a_i with Σ a_i · character_i = wanted, or None; unique, since fewer were tried before."""
    names = sorted({name for powers in [*characters, wanted] for name, _ in powers})
    columns = [[dict(powers).get(name, sp.S.Zero) for powers in characters] for name in names]
    matrix = sp.Matrix(columns)
    target = sp.Matrix([dict(wanted).get(name, sp.S.Zero) for name in names])
    if matrix.rank() < len(characters) or matrix.rank() < matrix.row_join(target).rank():
        return None
    solution = matrix.solve(target) if matrix.is_square else (matrix.T * matrix).solve(matrix.T * target)
    return list(solution)
