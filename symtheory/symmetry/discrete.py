"""Discrete symmetries: permutations of hidden units and flips of signs, reported beside the continuous group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sympy as sp

from symtheory.graph.action import ActionSystem, Kind, Unknown, subsets
from symtheory.graph.shapes import Shape, show
from symtheory.lazy_module import LazyModule
from symtheory.symmetry.edge_group import FIXING_ONES, EdgeGroup
from symtheory.symmetry.factor import Factor
from symtheory.symmetry.parameter_places import ParameterPlaces
from symtheory.symmetry.site import Site
from symtheory.symmetry.solutions import solve_forms, solve_forms_mod_2

if TYPE_CHECKING:
    import numpy as np
else:
    np = LazyModule("numpy")


@dataclass(frozen=True)
class DiscreteSymmetry:
    """A finite group that leaves the predictor as it is.

    kind: "permutation" or "sign_flip"; sites: where it acts. Along the place of a site entries are permuted, in a way
    of its own for every index of its copies; signs flip for every index of the copies.
    """

    kind: str
    sites: tuple[Site, ...]

    @property
    def copies(self) -> Shape:
        return self.sites[0].copy_sizes

    @property
    def element_shape(self) -> Shape:
        """(*copies, n) for permutations of 0, …, n − 1, and (*copies) for signs ±1."""
        first = self.sites[0]
        return self.copies if first.place is None else (*self.copies, first.layout.sizes[first.place])

    @property
    def order(self) -> sp.Expr:
        """Number of elements."""
        one = sp.factorial(self.element_shape[-1]) if self.kind == "permutation" else sp.Integer(2)
        return one ** sp.Mul(*self.copies)

    def act(self, g: np.ndarray, point: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """g: an array of shape ``element_shape``; point: parameter → array."""
        moved = dict(point)
        for site in self.sites:
            rows = site.unfolded(moved[site.parameter])
            changed = np.take_along_axis(rows, g[..., None], axis=-2) if site.place is not None else g[..., None] * rows
            moved[site.parameter] = site.folded(changed)
        return moved

    def __str__(self) -> str:
        if self.kind == "permutation":
            size = self.element_shape[-1]
            each = f", one for each index of {show(self.copies)}," if self.copies else ""
            return f"permutations of R^{size}{each} ({', '.join(site.describe() for site in self.sites)})"
        where = ", ".join(
            " ".join([site.parameter, *(" and ".join(map(site.layout.describe, site.copies)),) * bool(site.copies)])
            for site in self.sites
        )
        return f"sign flips {show(self.copies)} ({where})" if self.copies else f"sign flip ({where})"


def discrete_symmetries(
    places: ParameterPlaces, system: ActionSystem, continuous: Sequence[Factor]
) -> tuple[DiscreteSymmetry, ...]:
    """Permutations and sign flips that no continuous factor contains."""
    return (*_permutations(places, system, continuous), *_sign_flips(places, system, continuous))


def _permutations(
    places: ParameterPlaces, system: ActionSystem, continuous: Sequence[Factor]
) -> list[DiscreteSymmetry]:
    equations = [form for kind, form in system.equations if kind is Kind.PERMUTATION]
    known = [_varying(factor.sites) for factor in continuous if isinstance(factor, EdgeGroup)]
    found = []
    for solution in solve_forms(equations, places.unknowns(Kind.PERMUTATION)):
        sites = places.sites(places.in_order(solution))
        own = _varying(sites)
        if not any(own.keys() <= other.keys() and all(own[key] <= other[key] for key in own) for other in known):
            known.append(own)
            found.append(DiscreteSymmetry("permutation", sites))
    return found


def _varying(sites: Sequence[Site]) -> dict[tuple[str, int | None], frozenset[int]]:
    """Places that are moved, with those over which the movement varies."""
    return {(site.parameter, site.place): frozenset(site.copies) for site in sites}


def _sign_flips(places: ParameterPlaces, system: ActionSystem, continuous: Sequence[Factor]) -> list[DiscreteSymmetry]:
    """A basis over the two-element field; flips at fewer indices than one that was found are part of it."""
    known = _Span()
    for factor in continuous:
        if isinstance(factor, EdgeGroup) and factor.algebra != FIXING_ONES:
            for flips in _with_fewer_places([(s.parameter, (*s.copies, s.place or 0)) for s in factor.sites]):
                known.add(flips)
    equations = [form for kind, form in system.equations if kind is Kind.SIGN]
    solutions = solve_forms_mod_2(equations, places.unknowns(Kind.SIGN))
    parts = [part for solution in solutions for part in _by_place_count(solution)]
    found = []
    for part in sorted(parts, key=lambda part: -max(len(unknown.slot.varies) for unknown in part)):
        if known.add(frozenset((unknown.parameter, unknown.slot.varies) for unknown in part)):
            sites = places.sites(places.in_order(dict.fromkeys(part, sp.Integer(1))))
            for flips in _with_fewer_places([(site.parameter, site.copies) for site in sites]):
                known.add(flips)
            found.append(DiscreteSymmetry("sign_flip", sites))
    return found


def _by_place_count(flips: frozenset[Unknown]) -> list[list[Unknown]]:
    """The parts of a flip by the number of places they vary over, which are flips each."""
    counts = sorted({len(unknown.slot.varies) for unknown in flips})
    return [[unknown for unknown in flips if len(unknown.slot.varies) == count] for count in counts]


Flip = frozenset[tuple[str, frozenset[int]]]
"""Parameters whose signs flip, each with the places over which they do."""


def _with_fewer_places(entries: Sequence[tuple[str, tuple[int, ...]]]) -> list[Flip]:
    """The flip and those that vary over a part of its places, which come in an order common to all parameters."""
    found = []
    for chosen in subsets(tuple(range(len(entries[0][1])))):
        flips = [(name, frozenset(places[index] for index in chosen)) for name, places in entries]
        odd = frozenset(entry for entry in flips if flips.count(entry) % 2)
        if odd:
            found.append(odd)
    return found


class _Span:
    """Subsets closed under symmetric difference."""

    def __init__(self) -> None:
        self._pivots: dict[object, Flip] = {}

    def add(self, subset: Flip) -> bool:
        """Whether it was not in the span before."""
        rest = subset
        while rest:
            pivot = min(rest, key=str)
            if pivot not in self._pivots:
                self._pivots[pivot] = rest
                return True
            rest = rest ^ self._pivots[pivot]
        return False
