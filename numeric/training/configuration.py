"""The record of everything that was chosen for a training run, in values JSON can hold."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from numeric.training.learning_rate import LearningRate
from numeric.training.optimizer import Optimizer

SCHEDULE_SAMPLES = 64


def optimizer_record(optimizer: Optimizer, steps: int) -> dict[str, Any]:
    """Name and fields of an update rule; a schedule is recorded by its name and values at up to 64 steps."""
    record: dict[str, Any] = {"name": type(optimizer).__name__}
    for field in fields(optimizer):  # type: ignore[arg-type]
        record[field.name] = getattr(optimizer, field.name)
    record["lr"] = _learning_rate_record(optimizer.lr, steps)
    return record


def tensors_record(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Shape, dtype and a digest of the bytes of each tensor: enough to tell two sets of data apart."""
    return {
        name: {
            "shape": list(tensor.shape),
            "dtype": str(tensor.dtype).removeprefix("torch."),
            "digest": _digest(tensor),
        }
        for name, tensor in tensors.items()
    }


def qualified_name(function: Any) -> str:
    """module.name of a callable, or of its type if it has no name of its own."""
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}.{named.__qualname__}"


def differing_keys(left: Mapping[str, Any], right: Mapping[str, Any]) -> list[str]:
    """Keys whose values differ and would change the numbers; commit and other versions than torch's would not."""
    ignored = {"commit", "versions"}
    keys = sorted(key for key in {*left, *right} - ignored if left.get(key) != right.get(key))
    if left.get("versions", {}).get("torch") != right.get("versions", {}).get("torch"):
        keys.append("torch version")
    return keys


def _learning_rate_record(lr: LearningRate, steps: int) -> Any:
    if not callable(lr):
        return lr
    stride = max(1, steps // SCHEDULE_SAMPLES)
    return {
        "schedule": qualified_name(lr),
        "every": stride,
        "values": [float(lr(k)) for k in range(0, steps, stride)],
    }


def _digest(tensor: Tensor) -> str:
    flat = tensor.detach().cpu().clone(memory_format=torch.contiguous_format).reshape(-1).view(torch.uint8)
    return hashlib.blake2b(flat.numpy().data, digest_size=16).hexdigest()
