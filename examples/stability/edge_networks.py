"""Small networks for images: perceptrons, a convolutional and a residual one. All give logits (B, 10).

None normalizes over the batch: the loss of a sample would depend on the others.
"""

from __future__ import annotations

from torch import Tensor, nn

CLASSES, WIDTH, CHANNELS, GROUPS = 10, 64, 8, 4


def perceptron(channels: int, side: int, activation: type[nn.Module]) -> nn.Module:
    """pixels-64-64-10."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(channels * side**2, WIDTH),
        activation(),
        nn.Linear(WIDTH, WIDTH),
        activation(),
        nn.Linear(WIDTH, CLASSES),
    )


def tanh(channels: int, side: int) -> nn.Module:
    """The perceptron with tanh."""
    return perceptron(channels, side, nn.Tanh)


def relu(channels: int, side: int) -> nn.Module:
    """The perceptron with ReLU."""
    return perceptron(channels, side, nn.ReLU)


def convolutional(channels: int, side: int) -> nn.Module:
    """Two convolutions of 8 and 16 channels with tanh and average pooling, and a linear readout."""
    return nn.Sequential(
        nn.Conv2d(channels, CHANNELS, 3, padding=1),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Conv2d(CHANNELS, 2 * CHANNELS, 3, padding=1),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(2 * CHANNELS * (side // 4) ** 2, CLASSES),
    )


class Block(nn.Module):
    """x + two convolutions, each behind ReLU and perhaps group normalization; where channels are added, at half the
    side."""

    def __init__(self, inside: int, outside: int, normalized: bool) -> None:
        super().__init__()
        stride = 1 if inside == outside else 2
        self.branch = nn.Sequential(
            *_bent(inside, normalized),
            nn.Conv2d(inside, outside, 3, stride, padding=1),
            *_bent(outside, normalized),
            nn.Conv2d(outside, outside, 3, padding=1),
        )
        self.straight: nn.Module = nn.Identity()
        if stride > 1:
            self.straight = nn.Sequential(nn.AvgPool2d(stride), nn.Conv2d(inside, outside, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inside, s, s) to (B, outside, s, s) or half of s."""
        return self.straight(x) + self.branch(x)


def _bent(channels: int, normalized: bool) -> list[nn.Module]:
    return [nn.GroupNorm(GROUPS, channels), nn.ReLU()] if normalized else [nn.ReLU()]


def residual(channels: int, side: int, normalized: bool = False) -> nn.Module:
    """A convolution onto 8 × 8 pixels, a block of 8 and one of 16 channels; mean over pixels, linear readout."""
    return nn.Sequential(
        nn.Conv2d(channels, CHANNELS, 3, stride=side // 8, padding=1),
        Block(CHANNELS, CHANNELS, normalized),
        Block(CHANNELS, 2 * CHANNELS, normalized),
        *_bent(2 * CHANNELS, normalized),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(2 * CHANNELS, CLASSES),
    )


def normalized_residual(channels: int, side: int) -> nn.Module:
    """The residual network with group normalization before every ReLU."""
    return residual(channels, side, normalized=True)
