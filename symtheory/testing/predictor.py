"""What a law asks of a predictor: its value, and the gradient of a functional of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

Arrays = Mapping[str, np.ndarray]


class Predictor(Protocol):
    """A function of a point (parameter → array) and data (input or constant → array)."""

    def value(self, point: Arrays, data: Arrays) -> np.ndarray:
        """φ(θ; x) as an array."""

    def gradient(self, point: Arrays, data: Arrays, weights: np.ndarray) -> dict[str, np.ndarray]:
        """∇_θ Σ weights ⊙ φ(θ; x), parameter → array of its shape; weights: of the predictor's shape."""
