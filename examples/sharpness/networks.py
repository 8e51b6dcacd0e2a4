"""Small networks for the digits: a vision transformer, a multilayer perceptron and a convolutional network.

All take images (B, 8, 8) and give logits (B, 10). `masks` (B, *mask_shape), entries 0 or 1/keep, multiply hidden
values: dropout whose random numbers come from outside, so that a whole population can be trained under one vmap.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

TOKENS, PATCH = 16, 4
CLASSES = 10


class Layer(nn.Module):
    """Pre-norm transformer layer, with the parameter names of nn.TransformerEncoderLayer."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.self_attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.linear1, self.linear2 = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: Tensor, masks: tuple[Tensor | float, Tensor | float] = (1.0, 1.0)) -> Tensor:
        z = self.norm1(x)
        # need_weights keeps to plain products, which vmap and double backward know.
        x = x + masks[0] * self.self_attn(z, z, z, need_weights=True)[0]
        return x + masks[1] * self.linear2(functional.relu(self.linear1(self.norm2(x))))


class VisionTransformer(nn.Module):
    """16 tokens of 2 × 2 pixels, `layers` layers, mean over tokens, linear readout."""

    def __init__(self, width: int = 32, heads: int = 2, layers: int = 2) -> None:
        super().__init__()
        self.embed = nn.Linear(PATCH, width)
        self.position = nn.Parameter(0.5 * torch.randn(TOKENS, width))
        self.layers = nn.ModuleList(Layer(width, heads) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, CLASSES)
        self.mask_shape = (2 * layers, TOKENS, width)

    def forward(self, images: Tensor, masks: Tensor | None = None) -> Tensor:
        patches = images.unflatten(-1, (4, 2)).unflatten(-3, (4, 2)).transpose(-3, -2)
        x = self.embed(patches.flatten(-2).flatten(-3, -2)) + self.position
        for k, layer in enumerate(self.layers):
            x = layer(x) if masks is None else layer(x, (masks[:, 2 * k], masks[:, 2 * k + 1]))
        return self.head(self.norm(x.mean(-2)))


class Perceptron(nn.Module):
    """Two ReLU layers."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(64, width), nn.Linear(width, width)
        self.head = nn.Linear(width, CLASSES)
        self.mask_shape = (width,)

    def forward(self, images: Tensor, masks: Tensor | None = None) -> Tensor:
        z = functional.relu(self.second(functional.relu(self.first(images.flatten(-2)))))
        return self.head(z if masks is None else masks * z)


class Convolutional(nn.Module):
    """Two 3 × 3 ReLU convolutions, each followed by a mean over 2 × 2, and a linear readout."""

    def __init__(self, channels: int = 8) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, 2 * channels, 3, padding=1)
        self.head = nn.Linear(8 * channels, CLASSES)
        self.mask_shape = (8 * channels,)

    def forward(self, images: Tensor, masks: Tensor | None = None) -> Tensor:
        z = functional.avg_pool2d(functional.relu(self.first(images.unsqueeze(-3))), 2)
        z = functional.avg_pool2d(functional.relu(self.second(z)), 2).flatten(-3)
        return self.head(z if masks is None else masks * z)
