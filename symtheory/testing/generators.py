"""Law: X_a(θ) = d/dt exp(t a)·θ at t = 0."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from symtheory.errors import CalculusError
from symtheory.symmetry.factor import Factor
from symtheory.testing.deviation import TOLERANCE, largest, relative, require, show_array
from symtheory.testing.subject import Symmetry, group_of, moved, place_of

STEP, LEVELS = 0.125, 5
"""Central differences at STEP, STEP/2, …, STEP/16 over the size of a, extrapolated: the error is of order STEP¹⁰, and
with rounding below 1e-11 on all of some thousand random graphs."""


def generators_match_action(
    symmetry: Symmetry, point: Mapping[str, Any], seed: int = 0, tolerance: float = TOLERANCE
) -> None:
    """The vector field of a random element of each factor's Lie algebra is the derivative of the action along it.

    seed: of the elements. The derivative comes from extrapolated central differences, good to about 1e-11. Deviations
    are relative to the largest entry of the field, or of the parameter times that of the element. A factor without
    ``exponential`` (``CalculusError``: generators that do not commute) is passed over. Raises ``AssertionError`` naming
    the factor, the parameter and the deviation.
    """
    group = group_of(symmetry)
    start = place_of(symmetry, point)
    rng = np.random.default_rng(seed)
    for factor in group:
        a = factor.algebra_sample(rng)
        try:
            derivative = _derivative(factor, a, start)
        except CalculusError:
            continue
        field = factor.field(a, start)
        for name in dict.fromkeys((*factor.shapes, *field)):
            claimed = np.asarray(field.get(name, np.zeros_like(start[name])))
            scale = max(largest([claimed]), largest([start[name]]) * largest([a]))
            off = relative(claimed - derivative[name], scale)
            broken = f"factor '{factor.name}': the field of '{name}' is not the derivative of the action"
            require("generators_match_action", broken, off, tolerance, f"a = {show_array(np.asarray(a))}")


def _derivative(factor: Factor, a: np.ndarray, start: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Richardson's extrapolation of central differences, all entries at once."""
    size = largest([a]) * max(np.shape(a)[-1:], default=1)
    wide = STEP / size if size > 0 else STEP
    rows = [_central_difference(factor, a, start, wide / 2**level) for level in range(LEVELS)]
    for order in range(1, LEVELS):
        weight = 4.0**order
        rows = [
            {name: (weight * finer[name] - coarser[name]) / (weight - 1) for name in finer}
            for coarser, finer in pairwise(rows)
        ]
    return rows[0]


def _central_difference(
    factor: Factor, a: np.ndarray, start: Mapping[str, np.ndarray], step: float
) -> dict[str, np.ndarray]:
    ahead, behind = (moved(factor, factor.exponential(sign * step * a), start) for sign in (1, -1))
    return {name: (ahead[name] - behind[name]) / (2 * step) for name in start}
