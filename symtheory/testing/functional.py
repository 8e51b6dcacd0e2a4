"""A random functional Σ w ⊙ φ of a predictor: its gradient, and the size below which that is rounding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from symtheory.testing.deviation import largest
from symtheory.testing.subject import Subject


@dataclass(frozen=True)
class FunctionalGradient:
    """parts: parameter → ∂/∂θ Σ w ⊙ φ; floor: Σ |w ⊙ φ| over the largest entry of the parameters.

    A function of order one in parameters of order one has a gradient of about ``floor``; where the true gradient
    vanishes (a saturated softmax), rounding is small against it and not against the gradient.
    """

    parts: dict[str, np.ndarray]
    floor: float


def random_functional_gradient(subject: Subject, rng: np.random.Generator) -> FunctionalGradient:
    """Standard normal weights w."""
    value = subject.value(subject.point)
    weights = np.asarray(rng.standard_normal(value.shape))
    size = float(np.abs(weights * value).sum()) / max(largest(subject.point.values()), np.finfo(float).tiny)
    return FunctionalGradient(subject.gradient(weights), size)
