"""A user's torch function as a predictor. The one file of the symbolic layer that imports torch, inside functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from symtheory.errors import DeclarationError
from symtheory.testing.predictor import Arrays


@dataclass(frozen=True)
class TorchFunction:
    """``function(point: dict[str, Tensor], **inputs) -> Tensor``, called with tensors of the dtype of the arrays."""

    function: Callable[..., Any]

    def value(self, point: Arrays, data: Arrays) -> np.ndarray:
        import torch

        with torch.no_grad():
            return np.asarray(self._call(_tensors(point), data).cpu().numpy())

    def gradient(self, point: Arrays, data: Arrays, weights: np.ndarray) -> dict[str, np.ndarray]:
        """By automatic differentiation; zero for a parameter that the function does not use."""
        import torch

        tensors = {name: tensor.requires_grad_() for name, tensor in _tensors(point).items()}
        value = self._call(tensors, data)
        if not value.requires_grad:
            return {name: np.zeros_like(array) for name, array in point.items()}
        functional = (value * torch.from_numpy(weights).to(value)).sum()
        gradients = torch.autograd.grad(functional, list(tensors.values()), allow_unused=True)
        return {
            name: np.zeros_like(array) if gradient is None else gradient.cpu().numpy()
            for (name, array), gradient in zip(point.items(), gradients, strict=True)
        }

    def _call(self, tensors: dict[str, Any], data: Arrays) -> Any:
        import torch

        value = self.function(tensors, **_tensors(data))
        if not isinstance(value, torch.Tensor):
            raise DeclarationError(f"the function must return a torch.Tensor, not {type(value).__name__}")
        return value


def _tensors(arrays: Arrays) -> dict[str, Any]:
    import torch

    return {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
