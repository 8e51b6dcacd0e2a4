"""Starting points of all replicas."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from numeric.errors import DataError, SizeError
from numeric.training.model import Model, Point
from numeric.training.shapes import bind_shape, bound_shape, describe
from numeric.training.stream_seed import stream_seed

Initial = Mapping[str, Any] | Callable[[torch.Generator], Mapping[str, Any]] | None


def initial_point(
    model: Model, initial: Initial, *, replicas: int, seed: int, dtype: torch.dtype, device: torch.device
) -> tuple[Point, dict[str, int]]:
    """Every replica's starting point, leaves (R, *shape), with the sizes that it binds.

    initial: a dict of leaves (*shape), the same for all replicas, or (R, *shape); or a callable that draws
    one replica's leaves (*shape) from a CPU torch.Generator of that replica's own; or None, then independent
    N(0, 1/d) numbers, d the last size of the parameter's shape (1 for a scalar). Raises SizeError for an
    unbound size, a missing or unknown name, or a wrong shape; DataError for NaN or infinity.
    """
    if initial is None:
        initial = _default_draw(model, dtype)
    if callable(initial):
        draws = [_draw(model, initial, seed, replica) for replica in range(replicas)]
        leaves = {name: torch.stack([draw[name] for draw in draws]) for name in model.parameters}
    else:
        leaves = _named(model, initial)
    point: Point = {}
    sizes: dict[str, int] = {}
    for name, shape in model.parameters.items():
        leaf = leaves[name].detach().to(device=device, dtype=dtype)
        if not bool(torch.isfinite(leaf).all()):
            raise DataError(f"initial[{name!r}] holds NaN or infinity: start from finite numbers")
        own = leaf.ndim == len(shape) + 1
        if own and leaf.shape[0] != replicas:
            raise SizeError(f"initial[{name!r}] has {leaf.shape[0]} replicas along its first axis, not {replicas}")
        sizes = bind_shape(f"initial[{name!r}]", shape, tuple(leaf.shape[1:] if own else leaf.shape), sizes)
        every = leaf if own else leaf.expand(replicas, *leaf.shape)
        point[name] = every.clone(memory_format=torch.contiguous_format)
    return point, sizes


def _named(model: Model, leaves: Mapping[str, Any]) -> dict[str, Tensor]:
    missing, unknown = set(model.parameters) - set(leaves), set(leaves) - set(model.parameters)
    if missing or unknown:
        declared = ", ".join(model.parameters)
        raise SizeError(f"the starting point names {sorted(leaves)}, but {model.name} has parameters {declared}")
    return {name: torch.as_tensor(leaf) for name, leaf in leaves.items()}


def _draw(
    model: Model, initial: Callable[[torch.Generator], Mapping[str, Any]], seed: int, replica: int
) -> dict[str, Tensor]:
    # On the CPU whatever the device, so that every device starts from the same points.
    generator = torch.Generator().manual_seed(stream_seed(seed, "initial", replica, 0))
    leaves = _named(model, initial(generator))
    for name, shape in model.parameters.items():
        if leaves[name].ndim != len(shape):
            raise SizeError(
                f"the starting point drawn for {name!r} has shape {tuple(leaves[name].shape)}, "
                f"but {describe(shape)} was declared: draw one replica's leaf"
            )
    return leaves


def _default_draw(model: Model, dtype: torch.dtype) -> Callable[[torch.Generator], dict[str, Tensor]]:
    shapes = {
        name: bound_shape(
            f"parameter {name!r} of {model.name}", shape, "bind it with P.bind({size}=…), or pass initial"
        )
        for name, shape in model.parameters.items()
    }

    def draw(generator: torch.Generator) -> dict[str, Tensor]:
        return {
            name: torch.randn(shape, generator=generator, dtype=dtype) / math.sqrt(shape[-1] if shape else 1)
            for name, shape in shapes.items()
        }

    return draw
