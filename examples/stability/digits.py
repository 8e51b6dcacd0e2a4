"""Networks and losses of the study on the digits data of scikit-learn, 512 images of 8 × 8 pixels in ten classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

SAMPLES, CLASSES, WIDTH = 512, 10, 64
Loss = Callable[[Tensor, Tensor], Tensor]


def digits() -> tuple[Tensor, Tensor]:
    """Pixels in 0..1, (n, 64), and labels as unit vectors, (n, 10)."""
    data = load_digits()
    pixels = torch.tensor(data.data[:SAMPLES] / 16, dtype=torch.float32)
    return pixels, one_hot(torch.tensor(data.target[:SAMPLES]), CLASSES).to(torch.float32)


def squared(output: Tensor, target: Tensor) -> Tensor:
    """Half the squared distance to the unit vector of the label, mean over samples."""
    return 0.5 * (output - target).square().sum(1).mean()


def perceptron(activation: type[nn.Module]) -> nn.Module:
    """64-64-64-10."""
    return nn.Sequential(
        nn.Linear(64, WIDTH), activation(), nn.Linear(WIDTH, WIDTH), activation(), nn.Linear(WIDTH, CLASSES)
    )


def convolutional() -> nn.Module:
    """Two convolutions of 8 and 16 channels with average pooling, and a linear readout."""
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)),
        nn.Conv2d(1, 8, 3, padding=1),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(64, CLASSES),
    )


@dataclass(frozen=True)
class Case:
    """make: the network; loss: (output, target) -> mean; lr: η, such that 2/η lies within what training sharpens to."""

    make: Callable[[], nn.Module]
    loss: Loss
    lr: float

    def model(self, seed: int) -> nn.Module:
        """The network with its own random start."""
        torch.manual_seed(seed)
        return self.make()


CASES = {
    "tanh, squared": Case(lambda: perceptron(nn.Tanh), squared, 0.1),
    "ReLU, squared": Case(lambda: perceptron(nn.ReLU), squared, 0.15),
    "CNN, squared": Case(convolutional, squared, 0.12),
    "tanh, cross-entropy": Case(lambda: perceptron(nn.Tanh), cross_entropy, 0.8),
    "ReLU, cross-entropy": Case(lambda: perceptron(nn.ReLU), cross_entropy, 0.3),
    "CNN, cross-entropy": Case(convolutional, cross_entropy, 0.6),
}


def tanh_perceptron() -> nn.Module:
    """The network of "tanh, squared" with one start, for the command line."""
    return CASES["tanh, squared"].model(0)
