"""Files that are either complete or absent: tensors in safetensors, records in JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
from safetensors.torch import save
from torch import Tensor

from numeric.errors import StoreError
from numeric.files import write_whole


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors (moved to the CPU) and text metadata to `path`. Raises StoreError if it cannot be written."""
    # clone: safetensors refuses tensors that share memory.
    flat = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    write_whole(path, save(flat, metadata=dict(metadata)))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors on the CPU and text metadata of a file. Raises StoreError if it is missing or not whole."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
            return tensors, file.metadata() or {}
    except (OSError, safetensors.SafetensorError) as error:
        raise StoreError(f"cannot read tensors from {path}: {error}") from error


def write_json(path: Path, record: Any) -> None:
    """Write a record as JSON to `path`. Raises StoreError if it cannot be written."""
    write_whole(path, json.dumps(record, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """The record of a JSON file. Raises StoreError if it is missing or not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"cannot read {path}: {error}") from error


def join_groups(groups: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """One flat mapping "group/name" -> tensor of several mappings."""
    return {f"{group}/{name}": tensor for group, tensors in groups.items() for name, tensor in tensors.items()}


def split_group(flat: Mapping[str, Tensor], group: str) -> dict[str, Tensor]:
    """The mapping name -> tensor of one group of a flat mapping."""
    return {name.partition("/")[2]: tensor for name, tensor in flat.items() if name.partition("/")[0] == group}
