"""Points, tangents and gradients as vectors: all leaves behind some batch axes in one axis of D numbers, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


def flattened(point: Mapping[str, Tensor], axes: int = 0) -> Tensor:
    """Leaves (*batch, *shape) with `axes` batch axes as (*batch, D), in the order of the point."""
    return torch.cat([leaf.reshape(*leaf.shape[:axes], -1) for leaf in point.values()], dim=-1)


def unflattened(flat: Tensor, shapes: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
    """(*batch, D) as leaves (*batch, *shape), in the order of the shapes."""
    parts = flat.split([torch.Size(shape).numel() for shape in shapes.values()], dim=-1)
    named = zip(parts, shapes.items(), strict=True)
    return {name: part.reshape((*flat.shape[:-1], *shape)) for part, (name, shape) in named}


def shapes_of(point: Mapping[str, Tensor], axes: int = 0) -> dict[str, torch.Size]:
    """The shapes of the leaves behind `axes` batch axes."""
    return {name: leaf.shape[axes:] for name, leaf in point.items()}
