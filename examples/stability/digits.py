"""The digits of scikit-learn: 512 images of 8 × 8 pixels in ten classes."""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn.functional import one_hot

SAMPLES, SIDE, CLASSES = 512, 8, 10


def digits() -> tuple[Tensor, Tensor]:
    """Pixels in 0..1, (n, 1, 8, 8), and labels as unit vectors, (n, 10), float32."""
    data = load_digits()
    pixels = torch.tensor(data.images[:SAMPLES] / 16, dtype=torch.float32).unsqueeze(1)
    return pixels, one_hot(torch.tensor(data.target[:SAMPLES]), CLASSES).to(torch.float32)
