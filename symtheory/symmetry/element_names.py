"""Keys under which generated code takes the coordinates of group and algebra elements."""

from __future__ import annotations

from symtheory.symmetry.coordinatewise_group import CoordinatewiseGroup
from symtheory.symmetry.group import SymmetryGroup


def element_names(group: SymmetryGroup) -> tuple[str, ...]:
    """One key per generator of the coordinatewise factors: the factor's name, numbered when it has several."""
    names: list[str] = []
    for factor in group:
        if isinstance(factor, CoordinatewiseGroup):
            count = len(factor.matrices)
            names += [factor.name] if count == 1 else [f"{factor.name}_{index + 1}" for index in range(count)]
    return tuple(names)
