"""The point of smallest norm on an orbit, by Newton's method on the group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from symtheory.errors import DomainError
from symtheory.lazy_module import LazyModule
from symtheory.symmetry.factor import Factor

if TYPE_CHECKING:
    import numpy as np
else:
    np = LazyModule("numpy")

STEPS, HALVINGS = 200, 40
# The gradient of the squared norm, relative to the norm: rounding of a few hundred products.
SETTLED = 1e-14
# Close to the minimum a step changes the norm by less than it is rounded.
ROUNDING = 1e-15


def smallest_norm(
    factor: Factor, basis: Sequence[np.ndarray], point: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The point of the factor's orbit with the smallest norm of the parameters that it moves.

    basis: of the elements of the Lie algebra whose fields are symmetric maps of θ. Along exp(tS) the squared norm has
    the derivatives 2⟨θ, X_S θ⟩ and 4‖X_S θ‖² at t = 0 for such an S; it is convex, so that Newton's steps, halved where
    they overshoot, lead to its only minimum. Raises ``DomainError`` where there is none.
    """
    point = dict(point)
    for _ in range(STEPS):
        theta = _flat(factor, point)
        fields = np.stack([_flat(factor, factor.field(element, point)) for element in basis])
        slope, curvature = 2 * fields @ theta, 4 * fields @ fields.T
        if np.abs(slope).max(initial=0.0) <= SETTLED * (theta @ theta):
            return point
        step = -np.linalg.lstsq(curvature, slope, rcond=None)[0]
        point = _shorter(factor, basis, point, step)
    raise DomainError(f"'{factor.name}' on {factor.lives_on}: the norm has no minimum on the orbit of this point")


def _shorter(
    factor: Factor, basis: Sequence[np.ndarray], point: Mapping[str, np.ndarray], step: np.ndarray
) -> dict[str, np.ndarray]:
    norm = np.linalg.norm(_flat(factor, point))
    for halving in range(HALVINGS):
        scaled = step / 2**halving
        direction = np.asarray(sum(part * element for part, element in zip(scaled, basis, strict=True)))
        moved = factor.act(factor.exponential(direction), point)
        if np.linalg.norm(_flat(factor, moved)) <= norm * (1 + ROUNDING):
            return moved
    return dict(point)


def _flat(factor: Factor, values: Mapping[str, np.ndarray]) -> np.ndarray:
    return np.concatenate([np.asarray(values[name]).ravel() for name in factor.shapes])
