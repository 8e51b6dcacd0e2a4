"""What a user trained or wants to train: model, data and loss, named on the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symtheory.cli.user_file import FAILURES, load_function
from symtheory.errors import DeclarationError

if TYPE_CHECKING:
    from torch import nn

LOSSES = ("cross_entropy", "squared_error", "binary_cross_entropy")


def load_model(name: str, checkpoint: Path | None, device: str, dtype: str) -> nn.Module:
    """What the user's function returns, with the checkpoint's parameters if there is one, on the device.

    Raises ``DeclarationError`` for a function that cannot be loaded, fails or returns no module, and the torch layer's
    errors for the checkpoint.
    """
    import torch

    from numeric.device import resolve
    from numeric.sharpness.checkpoint import load_checkpoint

    model = call(load_function(name, "--model"), name)
    if not isinstance(model, torch.nn.Module):
        raise DeclarationError(f"--model: {name} returns a {type(model).__name__}, not a torch.nn.Module")
    if checkpoint is not None:
        load_checkpoint(model, checkpoint)
    dtypes = {"float32": torch.float32, "float64": torch.float64}
    if dtype not in dtypes:
        raise DeclarationError(f"--dtype {dtype}: choose float32 or float64")
    return model.to(device=resolve(device), dtype=dtypes[dtype])


def load_loss(name: str) -> Callable[..., Any]:
    """A loss by name, or a function of the user's: the function itself, not what it returns."""
    from torch import nn

    named: Mapping[str, Callable[..., Any]] = dict(
        zip(LOSSES, (nn.CrossEntropyLoss(), nn.MSELoss(), nn.BCEWithLogitsLoss()), strict=True)
    )
    if name in named:
        return named[name]
    if ":" not in name:
        raise DeclarationError(f"--loss {name}: choose {', '.join(LOSSES)}, or write module:function")
    return load_function(name, "--loss")


def call(function: Callable[..., Any], name: str, *arguments: Any) -> Any:
    """What the user's function returns; its failures in one line that names it."""
    try:
        return function(*arguments)
    except FAILURES as error:
        raise DeclarationError(f"{name} fails: {type(error).__name__}: {error}") from error
