"""The cases of the study: which network learns which images under which loss, with which step and for how long."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from digits import SIDE as DIGIT_SIDE
from digits import digits
from edge_networks import convolutional, normalized_residual, relu, residual, tanh
from patches import SIDE as PATCH_SIDE
from patches import patches
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

Data = tuple[Tensor, Tensor]
SAMPLES = 512  # in every data set: a batch of as many is gradient descent
BATCHES = (8, 16, 32, 64, 128, SAMPLES)
FINE = (8, 16, 24, 32, 48, 64, 96, 128, SAMPLES)


def squared(output: Tensor, target: Tensor) -> Tensor:
    """Half the squared distance to the unit vector of the label, mean over samples."""
    return 0.5 * (output - target).square().sum(1).mean()


DATA: dict[str, tuple[Callable[[], Data], int, int]] = {
    "digits": (digits, 1, DIGIT_SIDE),
    "patches": (patches, 3, PATCH_SIDE),
}
"""Name → (inputs and targets, channels, pixels along a side)."""

NETWORKS: dict[str, Callable[[int, int], nn.Module]] = {
    "tanh": tanh,
    "ReLU": relu,
    "CNN": convolutional,
    "ResNet": residual,
    "ResNet, normalized": normalized_residual,
}
LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"squared": squared, "cross-entropy": cross_entropy}


@dataclass(frozen=True)
class Case:
    """Names in DATA, NETWORKS and LOSSES; lr: η, such that 2/η lies within what training sharpens to. The last half of
    `steps` is judged; every: steps between measurements, odd, because the oscillation changes sign at each."""

    data: str
    network: str
    loss: str
    lr: float
    steps: int = 3000
    every: int = 25
    batches: tuple[int, ...] = BATCHES

    @property
    def name(self) -> str:
        """data, network, loss."""
        return f"{self.data}, {self.network}, {self.loss}"

    def load(self) -> Data:
        """(inputs, targets)."""
        return DATA[self.data][0]()

    def model(self, seed: int) -> nn.Module:
        """The network with its own random start."""
        torch.manual_seed(seed)
        return NETWORKS[self.network](*DATA[self.data][1:])


_ALL = (
    Case("digits", "tanh", "squared", 0.1, batches=FINE),
    Case("digits", "ReLU", "squared", 0.15, batches=FINE),
    Case("digits", "CNN", "squared", 0.12),
    Case("digits", "tanh", "cross-entropy", 0.8, steps=1500),
    Case("digits", "ReLU", "cross-entropy", 0.3, steps=1500),
    Case("digits", "CNN", "cross-entropy", 0.6, steps=1500),
    Case("patches", "tanh", "squared", 0.01, steps=8000, every=41, batches=FINE),
    Case("patches", "ReLU", "squared", 0.02, steps=8000, every=41, batches=FINE),
    Case("patches", "CNN", "squared", 0.06, every=41),
    Case("patches", "ResNet", "squared", 0.08, steps=5000, every=61),
    Case("patches", "ResNet, normalized", "squared", 0.04, every=31, batches=(32, 64, 128, SAMPLES)),
    Case("patches", "tanh", "cross-entropy", 0.02, steps=6000, every=41),
    Case("patches", "ReLU", "cross-entropy", 0.015, steps=8000, every=41),
    Case("patches", "CNN", "cross-entropy", 0.06, every=41),
    Case("patches", "ResNet", "cross-entropy", 0.03, steps=6000, every=61),
)
CASES = {case.name: case for case in _ALL}


def tanh_perceptron() -> nn.Module:
    """The network of "digits, tanh, squared" with one start, for the command line."""
    return CASES["digits, tanh, squared"].model(0)
