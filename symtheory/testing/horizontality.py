"""Law: ⟨∇L(θ), X_a(θ)⟩ = 0 for every function L of the predictor and every vector field of the group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from symtheory.testing.deviation import TOLERANCE, largest, relative, require, show_array, show_sizes
from symtheory.testing.functional import random_functional_gradient
from symtheory.testing.subject import Function, Symmetry, subject_of

FIELDS = 3
"""Random elements of the Lie algebra of each factor; the inner product is linear in them."""


def gradient_is_horizontal(
    symmetry: Symmetry,
    point: Mapping[str, Any],
    data: Mapping[str, Any] | None = None,
    function: Function = None,
    seed: int = 0,
    tolerance: float = TOLERANCE,
) -> None:
    """The gradient of a random linear functional of the predictor is Euclidean-orthogonal to every vector field.

    seed: of the functional and of the elements. Deviations are relative to the sum of the absolute terms of the inner
    product. Raises ``AssertionError`` naming the factor, what each parameter contributes, and the deviation;
    ``DomainError`` where predictor or gradient are not finite.
    """
    subject = subject_of(symmetry, point, data, function)
    rng = np.random.default_rng(seed)
    gradient = random_functional_gradient(subject, rng)
    for factor in subject.group:
        for _ in range(FIELDS):
            a = factor.algebra_sample(rng)
            field = factor.field(a, {**subject.data, **subject.point})
            products = {name: gradient.parts[name] * field[name] for name in field}
            sums = {name: float(product.sum()) for name, product in products.items()}
            scale = sum(float(np.abs(product).sum()) for product in products.values())
            off = relative(sum(sums.values()), max(scale, gradient.floor * largest(field.values())))
            moving = f"factor '{factor.name}' on {', '.join(factor.shapes)}"
            broken = f"{moving} is not orthogonal to the gradient of '{subject.name}'"
            details = f"contributions: {show_sizes(sums)}; a = {show_array(np.asarray(a))}"
            require("gradient_is_horizontal", broken, off, tolerance, details)
