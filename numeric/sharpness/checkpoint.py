"""A checkpoint's parameters into a model, without running anything that the file says."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from numeric.errors import StoreError

NESTED = ("state_dict", "model_state_dict", "model")
"""Keys under which training code keeps the model's parameters beside the optimiser's."""

SHOWN = 3


def load_checkpoint(model: nn.Module, path: Path) -> None:
    """Copy the parameters and buffers of a .safetensors file, or of one that torch.save wrote, into the model.

    torch's files are read with weights_only, so that no code in them runs; where the state dict lies under
    "state_dict", "model_state_dict" or "model", it is taken from there.
    Raises StoreError for a file that cannot be read, holds no state dict, or does not fit the model (names what).
    """
    state = _read(path)
    own = model.state_dict()
    missing, extra = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    if missing or extra:
        raise StoreError(f"{path} does not fit {type(model).__name__}: {_differences(missing, extra)}")
    for name, tensor in state.items():
        if tensor.shape != own[name].shape:
            raise StoreError(
                f"{path} does not fit {type(model).__name__}: {name} is {tuple(tensor.shape)} in the file and "
                f"{tuple(own[name].shape)} in the model"
            )
    model.load_state_dict(state)


def _read(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror or error}") from error
    except (SafetensorError, pickle.UnpicklingError, EOFError, RuntimeError, ValueError, KeyError) as error:
        raise StoreError(
            f"{path} is no checkpoint of tensors alone ({type(error).__name__}): save model.state_dict(), "
            "with torch.save or as safetensors"
        ) from error
    return _state_dict(loaded, path)


def _state_dict(loaded: Any, path: Path) -> dict[str, Tensor]:
    for key in NESTED:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    if not isinstance(loaded, Mapping) or not loaded or not all(isinstance(leaf, Tensor) for leaf in loaded.values()):
        raise StoreError(f"{path} holds no state dict: save model.state_dict()")
    return dict(loaded)


def _differences(missing: list[str], extra: list[str]) -> str:
    parts = [
        f"the file {verb} {', '.join(names[:SHOWN])}{' and more' if len(names) > SHOWN else ''}"
        for verb, names in (("lacks", missing), ("also has", extra))
        if names
    ]
    return "; ".join(parts)
