"""Where tensors live: one place that turns a user's word for a device into a torch.device."""

from __future__ import annotations

import torch

from numeric.errors import OptionError


def resolve(device: str | torch.device | None = None) -> torch.device:
    """Return the device that `device` names, checked to be usable on this machine.

    None means the CPU, "auto" a CUDA device where there is one and else the CPU; any other word is torch's
    own ("cpu", "cuda", "cuda:1", "mps"). Raises OptionError for a word torch does not know or a device that
    is absent.
    """
    if device is None:
        return torch.device("cpu")
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        raise OptionError(f"unknown device {device!r}: use 'auto', 'cpu', 'cuda' or 'cuda:0'") from error
    if not _is_present(resolved):
        raise OptionError(f"device {str(resolved)!r} is not available here: use device='cpu' or device='auto'")
    return resolved


def _is_present(device: torch.device) -> bool:
    if device.type == "cpu":
        return True
    if device.type == "cuda":
        return torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count()
    if device.type == "mps":
        return torch.backends.mps.is_available()
    return False
