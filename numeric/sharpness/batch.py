"""One batch of a user's data: what goes into the model, and what its output is compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from numeric.errors import DataError

LABEL_KEYS = ("labels", "label", "target", "targets")


@dataclass(frozen=True)
class Batch:
    """Inputs and target of `size` samples, along the first axis of every tensor in them.

    inputs: a tensor, a tuple of positional arguments or a mapping of keyword arguments of the model.
    target: a tensor, or whatever nest of tensors the loss takes.
    """

    inputs: Any
    target: Any
    size: int

    def arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The positional and keyword arguments with which the model is called."""
        if isinstance(self.inputs, Mapping):
            return (), dict(self.inputs)
        return (tuple(self.inputs) if isinstance(self.inputs, tuple | list) else (self.inputs,)), {}

    def select(self, rows: slice | Tensor) -> Batch:
        """The batch of these rows alone."""
        inputs, target = (pytree.tree_map_only(Tensor, lambda leaf: leaf[rows], part) for part in self._parts())
        return make_batch((inputs, target))

    def to(self, device: torch.device, dtype: torch.dtype) -> Batch:
        """The batch on `device`, floating tensors in `dtype`; integers keep their type."""

        def move(leaf: Tensor) -> Tensor:
            return leaf.to(device=device, dtype=dtype if leaf.is_floating_point() else leaf.dtype)

        inputs, target = (pytree.tree_map_only(Tensor, move, part) for part in self._parts())
        return Batch(inputs, target, self.size)

    def _parts(self) -> tuple[Any, Any]:
        return self.inputs, self.target


def make_batch(item: Any) -> Batch:
    """Read one item of the user's data: (inputs, target), or a mapping with the target under "labels".

    In a mapping the key may also be "label", "target" or "targets"; the other entries are the model's keyword
    arguments, as Hugging Face tokenizers and collators give them.
    Raises DataError for any other form, for no samples, and for tensors of unequal length.
    """
    inputs, target = _split(item)
    lengths = {leaf.shape[0] if leaf.ndim else 0 for leaf in pytree.tree_leaves((inputs, target)) if _is_tensor(leaf)}
    if len(lengths) != 1 or 0 in lengths:
        found = ", ".join(map(str, sorted(lengths))) or "none"
        raise DataError(f"the tensors of one batch need one common length of at least 1, its samples: found {found}")
    return Batch(inputs, target, lengths.pop())


def is_single_batch(data: Any) -> bool:
    """Whether `data` is one batch itself and not an iterable of batches."""
    if isinstance(data, Mapping):
        return True
    return isinstance(data, tuple) and len(data) == 2 and isinstance(data[1], Tensor) and not _is_batch(data[1])


def _split(item: Any) -> tuple[Any, Any]:
    if isinstance(item, Mapping):
        for key in LABEL_KEYS:
            if key in item:
                return {name: value for name, value in item.items() if name != key}, item[key]
        raise DataError(f"a batch that is a mapping needs its target under 'labels': it holds {sorted(item)}")
    if isinstance(item, tuple | list) and len(item) == 2:
        return item[0], item[1]
    raise DataError(f"a batch is a {type(item).__name__}: give pairs (inputs, target), or mappings with 'labels'")


def _is_tensor(leaf: Any) -> bool:
    return isinstance(leaf, Tensor)


def _is_batch(item: Any) -> bool:
    return isinstance(item, tuple | list | Mapping)
