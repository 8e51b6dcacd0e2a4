"""Formulas of predictions written by hand, small problems, and predictions that carry given formulas."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from training_models import HADAMARD

__all__ = ["DEPTH_THREE", "HADAMARD", "prediction", "wide_regression"]

DEPTH_THREE = SimpleNamespace(
    NAME="depth_three",
    PARAMETERS={"a": ("d",), "b": ("d",), "c": ("d",)},
    INPUTS={},
    DECLARATION_HASH="3" * 16,
    predictor=lambda point: point["a"] * point["b"] * point["c"],
)


def wide_regression(n: int = 3, d: int = 6, seed: int = 3) -> dict[str, Tensor]:
    """Normal x (n, d) and y (n,), float64, with more coefficients than rows."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=generator, dtype=torch.float64)
    return {"x": x, "y": torch.randn(n, generator=generator, dtype=torch.float64)}


def prediction(mechanism: str, model: str = "hadamard", **formulas: Callable[..., Any]) -> SimpleNamespace:
    """What numeric.check reads of a prediction."""
    return SimpleNamespace(mechanism=mechanism, parametrization=model, load=lambda: SimpleNamespace(**formulas))
