"""Small hand-written models in the form of generated modules, and exact small problems for them."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Tensor

HADAMARD = SimpleNamespace(
    NAME="hadamard",
    PARAMETERS={"u": ("d",), "v": ("d",)},
    INPUTS={},
    DECLARATION_HASH="1" * 16,
    predictor=lambda point: point["u"] * point["v"],
    conserved=lambda point: {"C": point["u"].square() - point["v"].square()},
)

DEPTH_THREE = SimpleNamespace(
    NAME="depth_three",
    PARAMETERS={"a": (), "b": (), "c": ()},
    INPUTS={},
    predictor=lambda point: point["a"] * point["b"] * point["c"],
)

QUADRATIC = SimpleNamespace(NAME="quadratic", PARAMETERS={"u": ()}, INPUTS={}, predictor=lambda point: 2.0 * point["u"])


def _relu_net(point: dict[str, Tensor], x: Tensor) -> Tensor:
    hidden = torch.relu((point["W"] @ x.unsqueeze(-1)).squeeze(-1))
    return (point["V"] @ hidden.unsqueeze(-1)).squeeze(-1)


RELU_NET = SimpleNamespace(
    NAME="relu_net",
    PARAMETERS={"W": (4, "d"), "V": (2, 4)},
    INPUTS={"x": ("d",)},
    predictor=_relu_net,
)


def regression_data(n: int = 12, d: int = 5, seed: int = 0) -> dict[str, Tensor]:
    """Normal x (n, d) and y (n,), float64."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=generator, dtype=torch.float64)
    return {"x": x, "y": x[:, 0] - 0.5 * x[:, 1]}


def normal_start(generator: torch.Generator, d: int = 5) -> dict[str, Tensor]:
    """One replica's start of the hadamard model."""
    return {name: torch.randn(d, generator=generator, dtype=torch.float64) for name in ("u", "v")}
