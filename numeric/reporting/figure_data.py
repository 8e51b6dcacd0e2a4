"""What a figure is drawn from: a folder with data.safetensors and config.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load, save

from numeric.errors import CheckError, StoreError
from numeric.files import write_whole
from numeric.provenance import provenance

ARRAYS, CONFIG = "data.safetensors", "config.json"
SEPARATOR = "/"  # joins the keys of nested arrays in the safetensors file


def save_figure_data(kind: str, data: Mapping[str, Any], folder: Path) -> Path:
    """Save tensors and arrays of `data` (nested mappings too) as safetensors, all else as JSON with versions
    and commit. Keys are strings without "/". Returns the folder. CheckError for a key with "/" or a value
    JSON cannot hold.
    """
    arrays: dict[str, np.ndarray] = {}
    plain = _split(data, "", arrays)
    # JSON writes down the order of the arrays, which the safetensors format does not keep.
    config = {"kind": kind, "data": plain, "arrays": list(arrays), "provenance": provenance()}
    try:
        text = json.dumps(config, indent=2, ensure_ascii=False)
    except TypeError as error:
        raise CheckError(f"the data of figure {kind!r} hold a value that JSON cannot: {error}") from error
    write_whole(Path(folder) / ARRAYS, save(arrays))
    write_whole(Path(folder) / CONFIG, text + "\n")
    return Path(folder)


def load_figure_data(folder: Path) -> tuple[str, dict[str, Any]]:
    """(kind, data) as saved, arrays as numpy arrays. StoreError when a file is missing or damaged."""
    try:
        config = json.loads((Path(folder) / CONFIG).read_text(encoding="utf-8"))
        arrays = load((Path(folder) / ARRAYS).read_bytes())
        data = config["data"]
        for key in config["arrays"]:
            *parents, last = key.split(SEPARATOR)
            place = data
            for parent in parents:
                place = place.setdefault(parent, {})
            place[last] = arrays[key]
        return config["kind"], data
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise StoreError(f"{folder} holds no readable figure data ({error}); draw the figure anew") from error


def _split(data: Mapping[str, Any], prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for key, value in data.items():
        if SEPARATOR in key:
            raise CheckError(f"figure data key {key!r} contains {SEPARATOR!r}; rename it")
        if isinstance(value, torch.Tensor):
            value = value.detach().cpu().numpy()
        if isinstance(value, np.ndarray):
            arrays[prefix + key] = np.ascontiguousarray(value)
        elif isinstance(value, Mapping):
            nested = _split(value, prefix + key + SEPARATOR, arrays)
            if nested:
                plain[key] = nested
        else:
            plain[key] = value
    return plain
