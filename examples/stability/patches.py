"""Colour patches of the two photographs that ship with scikit-learn: natural images without a download.

No package here ships CIFAR, and a generated set has the statistics only that one thought of. Photographs have them all:
power that falls with frequency, correlated channels, most of the variance in the mean colour, edges. The class of a
patch is the strip of its photograph that it comes from. Neighbouring strips look alike: the classes overlap, and what
is learnt last are the details of single patches.
"""

from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import load_sample_images
from torch import Tensor
from torch.nn.functional import one_hot

SAMPLES, SIDE, STRIPS = 512, 16, 5


def patches(samples: int = SAMPLES, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Disjoint patches (n, 3, 16, 16), float32, and labels as unit vectors (n, 10), drawn without replacement by seed.

    Each photograph has five strips of equal width. Every channel has mean 0 and standard deviation 1 over the set
    (dimensionless). Raises ValueError for more samples than the photographs hold.
    """
    pairs = [cut(photograph) for photograph in load_sample_images().images]
    images = np.concatenate([pieces for pieces, _ in pairs])
    labels = np.concatenate([strips + STRIPS * number for number, (_, strips) in enumerate(pairs)])
    if not 1 <= samples <= len(images):
        raise ValueError(f"samples = {samples}: the photographs hold {len(images)} patches")
    rows = np.random.default_rng(seed).permutation(len(images))[:samples]
    chosen = images[rows] - images[rows].mean((0, 2, 3), keepdims=True)
    chosen = chosen / chosen.std((0, 2, 3), keepdims=True)
    classes = one_hot(torch.from_numpy(labels[rows]), STRIPS * len(pairs))
    return torch.from_numpy(chosen).to(torch.float32), classes.to(torch.float32)


def cut(photograph: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Patches (n, 3, 16, 16) of a photograph (rows, columns, 3), and the strip 0..4 of each, int64.

    Rows and columns that are left over on the right and below are dropped.
    """
    down, across = photograph.shape[0] // SIDE, photograph.shape[1] // (SIDE * STRIPS) * STRIPS
    kept = photograph[: down * SIDE, : across * SIDE].astype(np.float64)
    pieces = kept.reshape(down, SIDE, across, SIDE, 3).transpose(0, 2, 4, 1, 3)
    strips = np.broadcast_to(np.arange(across) * STRIPS // across, (down, across))
    return pieces.reshape(-1, 3, SIDE, SIDE), strips.reshape(-1)
