"""The handwritten digits that ship with scikit-learn, as images, split into training and test."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from numeric.errors import DataError


def digits(train: int = 500, seed: int = 0) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """(training, test), each {"x": (n, 8, 8) float32, "y": (n,) int64 labels 0 to 9}; 1,797 images in all.

    x: grey levels 0 to 16 shifted and scaled by one number each, so that all pixels together have mean 0 and standard
    deviation 1 (dimensionless). `train` images are drawn without replacement by `seed`, the others are the test.

    Raises DataError if scikit-learn is not installed or train is not between 10 and 1,787. Source of the data:
    Alpaydin and Kaynak 1998, Optical Recognition of Handwritten Digits, as distributed with scikit-learn.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise DataError("the digits need scikit-learn: install symtheory with its extra 'data'") from error
    pixels, labels = load_digits(return_X_y=True)
    if not 10 <= train <= len(labels) - 10:
        raise DataError(f"train = {train} is out of range: the digits have {len(labels)} images, take 10 or more")
    images = (pixels - pixels.mean()) / pixels.std()
    order = np.random.default_rng(seed).permutation(len(labels))
    x = torch.from_numpy(images.reshape(-1, 8, 8).astype(np.float32))
    y = torch.from_numpy(labels.astype(np.int64))
    parts = (order[:train], order[train:])
    training, test = ({"x": x[rows], "y": y[rows]} for rows in map(torch.from_numpy, parts))
    return training, test
