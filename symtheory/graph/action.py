r"""Infinitesimal linear actions on the edges of a graph, and the system that their unknowns must satisfy.

A tensor z with places 0, 1, … (axes, split where a reshape splits them) moves by sums of ::

    δz  =  A_{s} ·_p z     a matrix along place p, one for every index s of the places in ``varies``,
    δz  =  D_{s} ⊙ z       a number for every index s of the places in ``varies`` (all of them: coordinatewise;
                           none: one common factor).

The matrices come in three kinds, each a part of the one before: ``HOLLOW`` (zero diagonal: together with the numbers
all of gl), ``SKEW`` (of so) and ``SKEW_ONES`` (of so, with A 1 = 0). A number stands for its part that depends on
each of the places in ``varies`` (its mean over each of them is zero), so that kinds and places never overlap and
their equations separate; likewise for the dependence of a matrix. Beside these infinitesimal actions travel two kinds
of finite ones: ``PERMUTATION`` of the entries along a place, and ``SIGN``, a flip of signs, counted modulo 2.

Which combination of unknowns acts where is a *form*, a rational combination of unknowns of the parameters. In a form
of hollow matrices the coefficient −1 stands for the contragredient −Aᵀ, so that a contraction of two axes cancels
when the forms add up to zero; skew matrices and permutations are their own contragredient, and there the forms must
be equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from fractions import Fraction
from typing import NamedTuple


class Kind(Enum):
    """What acts at a place."""

    HOLLOW = "hollow"
    SKEW = "skew"
    SKEW_ONES = "skew_ones"
    PERMUTATION = "permutation"
    NUMBER = "number"
    SIGN = "sign"


MATRICES = (Kind.HOLLOW, Kind.SKEW, Kind.SKEW_ONES, Kind.PERMUTATION)

FIXING_ONES = (Kind.SKEW_ONES, Kind.PERMUTATION)
"""What does not see a vector with equal entries."""


class Slot(NamedTuple):
    """Where something acts on a tensor: the kind, the place (None for numbers and signs), the places it varies over."""

    kind: Kind
    place: int | None
    varies: frozenset[int]

    @property
    def is_matrix(self) -> bool:
        """Whether it is a matrix along a place; a permutation is one."""
        return self.place is not None

    def touches(self, places: range | frozenset[int]) -> bool:
        """Whether it is a matrix along one of the places or varies over one."""
        return self.place in places or any(place in places for place in self.varies)


class Unknown(NamedTuple):
    """What acts on a parameter at a slot of its own."""

    parameter: str
    slot: Slot


Form = Mapping[Unknown, Fraction]


def combine(left: Form, right: Form, factor: Fraction = Fraction(1)) -> Form:
    """left + factor · right, entries that cancel left out."""
    total = dict(left)
    for unknown, coefficient in right.items():
        value = total.pop(unknown, Fraction(0)) + factor * coefficient
        if value:
            total[unknown] = value
    return total


def scaled(form: Form, factor: Fraction) -> Form:
    """The form times a number."""
    return {unknown: factor * coefficient for unknown, coefficient in form.items()} if factor else {}


Action = Mapping[Slot, Form]
"""How a tensor moves: a form for every slot at which something acts."""

TRIVIAL: Action = {}


class Fate(Enum):
    """What becomes of an action at an operation: it passes, leaves nothing behind, or must not occur."""

    PASSES = "passes"
    VANISHES = "vanishes"
    FORBIDDEN = "forbidden"


@dataclass
class ActionSystem:
    """The constraints collected while actions travel from the parameters to the predictor.

    equations: forms that must vanish; blocked_by: operations that stop actions without a proof that nothing passes,
    so that the group found is a lower bound.
    """

    equations: list[tuple[Kind, Form]] = field(default_factory=list)
    blocked_by: list[str] = field(default_factory=list)

    def require_zero(self, kind: Kind, form: Form) -> None:
        if form:
            self.equations.append((kind, form))

    def forbid(self, action: Action) -> None:
        """Nothing of the action may remain."""
        for slot, form in action.items():
            self.require_zero(slot.kind, form)

    def sieve(self, action: Action, fate: Callable[[Slot], Fate]) -> Action:
        """What passes of an action; what is forbidden becomes an equation."""
        passed = {}
        for slot, form in action.items():
            decision = fate(slot)
            if decision is Fate.PASSES:
                passed[slot] = form
            elif decision is Fate.FORBIDDEN:
                self.require_zero(slot.kind, form)
        return passed

    def agree(self, left: Action, right: Action) -> Action:
        """The common action of two tensors that meet, as in a sum."""
        for slot in {**left, **right}:
            self.require_zero(slot.kind, combine(left.get(slot, {}), right.get(slot, {}), Fraction(-1)))
        return {slot: left[slot] for slot in left if slot in right}

    def contract(self, slot: Slot, left: Form, right: Form) -> None:
        """What acts on two axes that are contracted must cancel."""
        contragredient = slot.kind in (Kind.HOLLOW, Kind.NUMBER, Kind.SIGN)
        self.require_zero(slot.kind, combine(left, right, Fraction(1 if contragredient else -1)))


def relabelled(action: Action, places: Mapping[int, int]) -> dict[Slot, Form]:
    """The action with its places renamed; every place that occurs must have a new name."""
    return {
        Slot(
            slot.kind,
            None if slot.place is None else places[slot.place],
            frozenset(places[place] for place in slot.varies),
        ): form
        for slot, form in action.items()
    }


def permutations_in(action: Action) -> Action:
    """The part of an action that permutes entries."""
    return {slot: form for slot, form in action.items() if slot.kind is Kind.PERMUTATION}


def without_permutations(action: Action) -> Action:
    """The rest of it."""
    return {slot: form for slot, form in action.items() if slot.kind is not Kind.PERMUTATION}


def permutes_alike(slot: Slot, along: range) -> bool:
    """Whether it permutes the entries of vectors along an axis, or whole vectors among each other."""
    return slot.kind is Kind.PERMUTATION and (slot.place in along or not slot.touches(along))


def subsets(places: tuple[int, ...]) -> Iterator[frozenset[int]]:
    """All subsets, small ones first."""
    members = sorted(range(2 ** len(places)), key=lambda bits: (bits.bit_count(), bits))
    for bits in members:
        yield frozenset(place for index, place in enumerate(places) if bits >> index & 1)
