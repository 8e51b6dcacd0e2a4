"""Scales that the predictor does not see: one positive factor of some parameters, all to the same power."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import sympy as sp

from symtheory.graph.layout import Layout
from symtheory.graph.shapes import show
from symtheory.symmetry.coordinatewise_group import CoordinatewiseGroup
from symtheory.symmetry.group import SymmetryGroup
from symtheory.symmetry.rescaling import Rescaling
from symtheory.symmetry.site import Site


@dataclass(frozen=True)
class Scales:
    """found: θ_P ↦ g θ_P for every parameter named by a site, with exponents 1 and one g for every index of the copies;
    its only charge is r², the sum of their squares. refused: why other factors that enlarge all they move are none.
    """

    found: tuple[Rescaling, ...]
    refused: tuple[str, ...]


def scales_of(group: SymmetryGroup) -> Scales:
    """The scales among the factors of a group, under the factors' names.

    A factor is one when every exponent has the same sign and size. Where sizes differ, θ_P ↦ g^{c_P} θ_P, no common
    r exists of which the gradient is a power, and the factor is refused.
    """
    found, refused = [], []
    for name, sites in _one_signed(group):
        exponents = {abs(site.exponent) for site in sites}
        parameters = [site.parameter for site in sites]
        if len(exponents) > 1:
            powers = ", ".join(f"{site.parameter} with its power {abs(site.exponent)}" for site in sites)
            refused.append(f"'{name}' scales parameters unequally ({powers}), so that they have no common scale")
        elif len(set(parameters)) < len(parameters):
            refused.append(f"'{name}' scales one parameter along two of its places, so that no sum of squares is left")
        else:
            unit = tuple(replace(site, exponent=sp.Integer(1)) for site in sites)
            shapes = {site.parameter: site.layout.shape for site in unit}
            found.append(Rescaling(name, shapes, unit))
    return Scales(tuple(found), tuple(refused))


def describe_scale(scale: Rescaling) -> str:
    """r² in words: whose squares, and how many there are."""
    parameters = ", ".join(site.parameter for site in scale.sites)
    each = f", one for each index of {show(scale.copies)}" if scale.copies else ""
    return f"r² of '{scale.name}' is the sum of the squares of {parameters}{each}"


def _one_signed(group: SymmetryGroup) -> Iterator[tuple[str, tuple[Site, ...]]]:
    """Name and sites of every rescaling that enlarges all that it moves."""
    for factor in group:
        if isinstance(factor, Rescaling):
            candidates = [(factor.name, factor.sites)]
        elif isinstance(factor, CoordinatewiseGroup):
            candidates = _coordinate_sites(factor)
        else:
            continue
        for name, sites in candidates:
            if len({sp.sign(site.exponent) for site in sites}) == 1:
                yield name, sites


def _coordinate_sites(factor: CoordinatewiseGroup) -> list[tuple[str, tuple[Site, ...]]]:
    """The diagonal generators as sites with a copy for every coordinate, under the names of their charges."""
    symmetric = [matrix for matrix in factor.matrices if matrix.is_symmetric()]
    candidates = []
    for name, matrix in zip(factor.charges, symmetric, strict=True):
        if matrix.is_diagonal():
            sites = tuple(
                Site(parameter, Layout(tuple((size,) for size in shape)), tuple(range(len(shape))), exponent)
                for (parameter, shape), exponent in zip(factor.shapes.items(), matrix.diagonal(), strict=True)
                if exponent != 0
            )
            candidates.append((name, sites))
    return candidates
