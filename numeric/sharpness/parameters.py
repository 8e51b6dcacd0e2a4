"""Points and tangents of a model's parameter space: dictionaries of tensors under the module's own names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn

from numeric.errors import OptionError

Point = dict[str, Tensor]


def trainable(model: nn.Module, keep: Callable[[str], bool] | None = None) -> Point:
    """The model's parameters that require a gradient, detached, by name; a tied one under its first name.

    keep: which of them to measure (all, if None): a predicate of the name.
    Raises OptionError if none is left.
    """
    point = {
        name: parameter.detach()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and (keep is None or keep(name))
    }
    if not point:
        raise OptionError(
            f"{type(model).__name__} has no trainable parameter to measure: check requires_grad and keep="
        )
    return point


def dot(left: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> Tensor:
    """The Euclidean inner product of two tangents, a scalar tensor."""
    return torch.stack([(left[name] * right[name]).sum() for name in left]).sum()


def norm(tangent: Mapping[str, Tensor]) -> Tensor:
    """The Euclidean norm of a tangent, a scalar tensor."""
    return torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(leaf) for leaf in tangent.values()]))


def add(point: Mapping[str, Tensor], tangent: Mapping[str, Tensor], scale: float | Tensor = 1.0) -> Point:
    """point + scale·tangent; names that the tangent lacks stay as they are."""
    return {name: leaf + scale * tangent[name] if name in tangent else leaf for name, leaf in point.items()}


def scaled(tangent: Mapping[str, Tensor], factor: float | Tensor) -> Point:
    """factor·tangent."""
    return {name: factor * leaf for name, leaf in tangent.items()}


def random_tangent(point: Mapping[str, Tensor], generator: torch.Generator) -> Point:
    """Independent standard normal entries, drawn on the generator's device and moved to the point's."""
    return {
        name: torch.randn(leaf.shape, generator=generator, device=generator.device, dtype=leaf.dtype).to(leaf.device)
        for name, leaf in point.items()
    }


def flatten(tangent: Mapping[str, Tensor]) -> Tensor:
    """All entries as one vector (D,), in the order of the names."""
    return torch.cat([leaf.reshape(-1) for leaf in tangent.values()])


def unflatten(vector: Tensor, like: Mapping[str, Tensor]) -> Point:
    """The vector (D,) cut into tensors of the shapes of `like`."""
    pieces: Iterable[Tensor] = vector.split([leaf.numel() for leaf in like.values()])
    return {name: piece.reshape(like[name].shape) for name, piece in zip(like, pieces, strict=True)}


def count(point: Mapping[str, Tensor]) -> int:
    """The number D of entries."""
    return sum(leaf.numel() for leaf in point.values())
