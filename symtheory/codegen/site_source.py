"""Torch source of what a group element does to one parameter, and of the squares that its charges are made of."""

from __future__ import annotations

from string import ascii_lowercase

import sympy as sp

from symtheory.errors import CodegenError
from symtheory.graph.layout import Layout
from symtheory.graph.shapes import torch_size
from symtheory.symmetry.site import Site

MOVED = "Z"
"""Subscript of the place that a matrix has moved; the others are lower case letters."""


def times_matrix(site: Site, tensor: str, matrix: str, inverse: str) -> str:
    """The parameter with g along the site's place; ``matrix`` names g and ``inverse`` g⁻¹ (used for exponent −1)."""
    rank = len(site.layout.sizes)
    is_plain = not site.layout.is_split() and not site.copies and rank == 2
    if is_plain and site.place == 0:
        return f"{matrix} @ {tensor}" if site.exponent > 0 else f"{inverse}.mT @ {tensor}"
    if is_plain:
        return f"{tensor} @ {matrix}.mT" if site.exponent > 0 else f"{tensor} @ {inverse}"
    letters = ascii_lowercase[:rank]
    acted = letters[site.place or 0]
    copies = "".join(letters[place] for place in site.copies)
    element = f"{copies}{MOVED}{acted}" if site.exponent > 0 else f"{copies}{acted}{MOVED}"
    name = matrix if site.exponent > 0 else inverse
    moved = letters.replace(acted, MOVED)
    product = f'torch.einsum("...{element},...{letters}->...{moved}", {name}, {split(site, tensor, name, 1)})'
    return merged(site.layout, product)


def times_numbers(site: Site, tensor: str, numbers: str) -> str:
    """The parameter times g^exponent, one number for every index of the copies."""
    power = _power(numbers, site)
    rank = len(site.layout.sizes)
    if not site.layout.is_split() and list(site.copies) == sorted(site.copies):
        axes = [":" if place in site.copies else "None" for place in range(rank)]
        if "None" not in axes:
            return f"{tensor} * {power}"
        # Axes of the batch stay in front of an axis of size 1 for every place without a copy.
        return f"{tensor} * {power}[{', '.join(['...', *axes])}]"
    letters = ascii_lowercase[:rank]
    copies = "".join(letters[place] for place in site.copies)
    product = f'torch.einsum("...{copies},...{letters}->...{letters}", {power}, {split(site, tensor, numbers, 0)})'
    return merged(site.layout, product)


def _power(numbers: str, site: Site) -> str:
    if site.exponent == 1:
        return numbers
    exponent = int(site.exponent) if site.exponent.is_Integer else float(site.exponent)
    return f"({numbers} ** {exponent})" if exponent >= 0 else f"({numbers} ** ({exponent}))"


def gram(site: Site, tensor: str) -> str:
    """X Xᵀ of the parameter unfolded along the site's place, for every copy; symbolic sizes by their names."""
    rank = len(site.layout.sizes)
    if not site.layout.is_split() and not site.copies and rank == 2:
        return f"{tensor} @ {tensor}.mT" if site.place == 0 else f"{tensor}.mT @ {tensor}"
    letters = ascii_lowercase[:rank]
    acted = letters[site.place or 0]
    other = letters.replace(acted, MOVED)
    copies = "".join(letters[place] for place in site.copies)
    parts = split(site, tensor)
    return f'torch.einsum("...{letters},...{other}->...{copies}{acted}{MOVED}", {parts}, {parts})'


def squares(site: Site, tensor: str) -> str:
    """Sum of the squares of all entries that one number multiplies; symbolic sizes by their names."""
    rank = len(site.layout.sizes)
    summed = [place - rank for place in range(rank) if place not in site.copies]
    if not site.layout.is_split() and list(site.copies) == sorted(site.copies):
        if not summed:
            return f"{tensor}.square()"
        axes = str(summed[0]) if len(summed) == 1 else f"({', '.join(map(str, summed))})"
        return f"{tensor}.square().sum({axes})" if len(summed) == 1 else f"{tensor}.square().sum(dim={axes})"
    letters = ascii_lowercase[:rank]
    copies = "".join(letters[place] for place in site.copies)
    parts = split(site, tensor)
    return f'torch.einsum("...{letters},...{letters}->...{copies}", {parts}, {parts})'


def split(site: Site, tensor: str, element: str = "", matrix: int = 0) -> str:
    """The parameter with its split axes taken apart; sizes are read from a group element where it has them.

    element: its name, or empty where symbolic sizes are known by their own; matrix: 1 where it ends in two axes of the
    acted place, 0 where it is made of numbers.
    """
    for axis in reversed(range(site.layout.rank)):
        places = site.layout.places(axis)
        if len(places) > 1:
            sizes = [_size(site, place, element, matrix) for place in places]
            if sizes.count("-1") > 1:
                raise CodegenError(
                    f"the sizes that make up axis {axis} of '{site.parameter}' cannot be read from a group element"
                )
            tensor = f"{tensor}.unflatten({axis - site.layout.rank}, ({', '.join(sizes)}))"
    return tensor


def _size(site: Site, place: int, element: str, matrix: int) -> str:
    if site.layout.sizes[place].is_Integer or not element:
        return torch_size(site.layout.sizes[place])
    if place == site.place:
        return f"{element}.shape[-1]"
    if place in site.copies:
        return f"{element}.shape[{site.copies.index(place) - len(site.copies) - 2 * matrix}]"
    return "-1"


def split_sizes(site: Site) -> set[sp.Symbol]:
    """The symbolic sizes that ``split`` names."""
    axes = [site.layout.places(axis) for axis in range(site.layout.rank)]
    places = [place for parts in axes if len(parts) > 1 for place in parts]
    return {size for place in places for size in site.layout.sizes[place].free_symbols}


def merged(layout: Layout, tensor: str) -> str:
    """A tensor with one axis for every place, its split axes put together again."""
    for axis in range(layout.rank):
        count = len(layout.places(axis))
        if count > 1:
            last = sum(len(layout.places(behind)) for behind in range(axis + 1, layout.rank))
            # Axes before this one are whole again, those behind it are still split.
            tensor = f"{tensor}.flatten({-last - count}, {-last - 1})"
    return tensor
