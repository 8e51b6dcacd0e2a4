"""The four models of benchmarks/bench_ensembles.py: declared once, and written as people write them in torch.nn."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

import numeric
import symtheory as st
from symtheory import catalog

SAMPLES, BATCH = 64, 8
LR = 1e-3


@dataclass(frozen=True)
class Problem:
    """One model with its data; batch None is the full batch."""

    title: str
    target: float
    module: Any
    plain: Callable[[], torch.nn.Module]
    loss: Callable[[Tensor, dict[str, Tensor]], Tensor]
    data: dict[str, Tensor]
    batch: int | None

    @property
    def optimizer(self) -> numeric.Optimizer:
        """Stochastic gradient descent for a batch, gradient descent for none."""
        return numeric.GradientDescent(lr=LR) if self.batch is None else numeric.SGD(lr=LR, batch_size=self.batch)


class Network(torch.nn.Module):
    """3-16-1 with a ReLU, no biases."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.out = torch.nn.Linear(3, 16, bias=False), torch.nn.Linear(16, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.relu(self.hidden(x)))


class Coefficients(torch.nn.Module):
    """x·w with w = p ⊙ q, or the cumulative sum of that."""

    def __init__(self, size: int, summed: bool) -> None:
        super().__init__()
        self.p, self.q = torch.nn.Parameter(0.3 * torch.randn(size)), torch.nn.Parameter(0.3 * torch.randn(size))
        self.summed = summed

    def forward(self, x: Tensor) -> Tensor:
        w = self.p * self.q
        return x @ (torch.cumsum(w, dim=-1) if self.summed else w)


class Head(torch.nn.Module):
    """One attention head of width 8 on sequences (8, 16), with biases and an output map."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = (torch.nn.Linear(16, 8) for _ in range(3))
        self.out = torch.nn.Linear(8, 16)

    def forward(self, x: Tensor) -> Tensor:
        scores = self.query(x) @ self.key(x).mT / math.sqrt(8)
        return self.out(torch.softmax(scores, dim=-1) @ self.value(x))


def problems() -> list[Problem]:
    """In float32, torch's default, which is what a plain loop would take."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    p, q = st.param("p", 64), st.param("q", 64)
    r, s = st.param("p", 200), st.param("q", 200)
    modes = torch.cos(torch.outer(torch.linspace(0, math.pi, 32), torch.arange(64.0))) / 8
    x = normal(SAMPLES, 3)
    teacher = torch.relu(x @ normal(3, 4)) @ normal(4, 1)
    return [
        Problem(
            "shallow ReLU net 3-16-1",
            150,
            st.generate(catalog.load("shallow_relu").bind(d=3, h=16, k=1)),
            Network,
            numeric.losses.squared_error,
            {"x": x, "y": teacher + 0.1 * normal(SAMPLES, 1)},
            BATCH,
        ),
        Problem(
            "p ⊙ q, 64 coefficients",
            250,
            st.generate(st.Parametrization(p * q, name="hadamard")),
            lambda: Coefficients(64, summed=False),
            numeric.losses.linear_regression,
            {"x": modes, "y": modes[:, [3, 8, 20]].sum(1) + 0.1 * normal(32)},
            None,
        ),
        Problem(
            "cumsum(p ⊙ q), 200 points",
            40,
            st.generate(st.Parametrization(st.cumsum(r * s), name="step_signal")),
            lambda: Coefficients(200, summed=True),
            numeric.losses.linear_regression,
            {"x": (measure := normal(60, 200) / 15), "y": measure @ (torch.arange(200) > 90).float()},
            None,
        ),
        Problem(
            "attention head, length 8",
            15,
            st.generate(catalog.load("attention").bind(n=8, d=16, h=8)),
            Head,
            numeric.losses.squared_error,
            {"X": normal(SAMPLES, 8, 16), "y": normal(SAMPLES, 8, 16)},
            BATCH,
        ),
    ]
