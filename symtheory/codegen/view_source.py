"""Torch source that turns a parameter into its family of matrices and back."""

from __future__ import annotations

from collections.abc import Sequence

import sympy as sp

from symtheory.codegen.site_source import merged
from symtheory.geometry.matrix.view import View
from symtheory.graph.shapes import torch_size


def to_matrices(view: View, tensor: str) -> str:
    """The tensor (*batch, *shape) as (*batch, *copies, rows, columns)."""
    if view.is_plain:
        return tensor
    source = tensor
    for axis in reversed(range(view.layout.rank)):
        places = view.layout.places(axis)
        if len(places) > 1:
            sizes = ", ".join(torch_size(view.layout.sizes[place]) for place in places)
            source = f"{source}.unflatten({axis - view.layout.rank}, ({sizes}))"
    source = _moved(source, _order(view))
    for group, behind in ((view.columns, 0), (view.rows, len(view.columns))):
        if len(group) > 1:
            source = f"{source}.flatten({-behind - len(group)}, {-behind - 1})"
    missing = [not view.rows, not view.columns]
    if any(missing):
        index = ", ".join("None" if absent else ":" for absent in missing)
        source = f"{source}[..., {index}]"
    return source


def from_matrices(view: View, matrices: str, tensor: str) -> str:
    """What ``to_matrices`` made of a tensor, as that tensor; ``tensor`` names one of the parameter's shape."""
    if view.is_plain:
        return matrices
    source = matrices
    missing = [not view.rows, not view.columns]
    if any(missing):
        index = ", ".join("0" if absent else ":" for absent in missing)
        source = f"{source}[..., {index}]"
    for group, place in ((view.rows, -2 if view.columns else -1), (view.columns, -1)):
        if len(group) > 1:
            source = f"{source}.unflatten({place}, ({_sizes(view, group, tensor)}))"
    order = _order(view)
    source = _moved(source, [order.index(place) for place in range(len(order))])
    return merged(view.layout, source)


def split_sizes(view: View) -> set[sp.Symbol]:
    """Symbolic sizes that the source names: those of the parts of split axes."""
    split = [view.layout.places(axis) for axis in range(view.layout.rank) if len(view.layout.places(axis)) > 1]
    return {size for places in split for place in places for size in view.layout.sizes[place].free_symbols}


def _order(view: View) -> list[int]:
    return [*view.batch, *view.rows, *view.columns]


def _moved(source: str, order: Sequence[int]) -> str:
    """The last axes brought into an order, given as positions before."""
    rank = len(order)
    moving = [(place - rank, position - rank) for position, place in enumerate(order)]
    while moving and moving[0][0] == moving[0][1]:
        moving.pop(0)
    if not moving:
        return source
    if len(moving) == 2:
        return f"{source}.mT" if rank == 2 or moving[0][1] == -2 else f"{source}.transpose{moving[0]}"
    from_, to = (", ".join(str(pair[side]) for pair in moving) for side in (0, 1))
    return f"{source}.movedim(({from_}), ({to}))"


def _sizes(view: View, places: Sequence[int], tensor: str) -> str:
    sizes = []
    for place in places:
        axis = view.layout.axis_of(place)
        whole = len(view.layout.places(axis)) == 1
        size = view.layout.sizes[place]
        read = whole and not size.is_Integer
        sizes.append(f"{tensor}.shape[{axis - view.layout.rank}]" if read else torch_size(size))
    return ", ".join(sizes)
