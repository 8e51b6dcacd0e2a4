"""Law: e·θ = θ, (g h)·θ = g·(h·θ), g⁻¹·(g·θ) = θ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from symtheory.errors import CalculusError
from symtheory.symmetry.factor import Factor
from symtheory.testing.deviation import TOLERANCE, largest, relative, require, show_array
from symtheory.testing.subject import Symmetry, elements_of, group_of, moved, place_of

LAW = "action_is_a_group_action"


def action_is_a_group_action(
    symmetry: Symmetry,
    point: Mapping[str, Any],
    g: Mapping[str, Any],
    h: Mapping[str, Any],
    tolerance: float = TOLERANCE,
) -> None:
    """Identity, composition and inverse of every factor named in ``g`` and ``h``, on the parameters it moves.

    g, h: factor name → element. Parameters that a factor does not move must come back as they were. A factor whose
    elements have no ``compose`` or ``inverse`` (``CalculusError``: flows that do not commute) is examined in the rest.
    Deviations are relative to the largest entry of a parameter on the way. Raises ``AssertionError`` naming the factor,
    the parameter and the deviation.
    """
    group = group_of(symmetry)
    start = place_of(symmetry, point)
    firsts = {factor.name: element for factor, element in elements_of(group, h)}
    for factor, second in elements_of(group, g):
        _require_same(factor, "the identity moves", start, moved(factor, factor.identity(), start), [], tolerance)
        after = moved(factor, second, start)
        untouched = {name: value for name, value in start.items() if name not in factor.shapes}
        _require_same(factor, "the action moves, from outside,", untouched, after, [second], tolerance)
        _examine_inverse(factor, start, after, second, tolerance)
        if factor.name in firsts:
            _examine_composition(factor, start, second, firsts[factor.name], tolerance)


def _examine_inverse(
    factor: Factor, start: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray], g: np.ndarray, tolerance: float
) -> None:
    try:
        inverse = factor.inverse(g)
    except CalculusError:
        return
    back = moved(factor, inverse, after)
    _require_same(factor, "g⁻¹ after g moves", start, back, [g], tolerance, after)


def _examine_composition(
    factor: Factor, start: Mapping[str, np.ndarray], g: np.ndarray, h: np.ndarray, tolerance: float
) -> None:
    try:
        product = factor.compose(g, h)
    except CalculusError:
        return
    between = moved(factor, h, start)
    one_by_one = moved(factor, g, between)
    _require_same(
        factor,
        "g after h and compose(g, h) differ on",
        one_by_one,
        moved(factor, product, start),
        [g, h],
        tolerance,
        between,
    )


def _require_same(
    factor: Factor,
    broken: str,
    expected: Mapping[str, np.ndarray],
    found: Mapping[str, np.ndarray],
    elements: list[np.ndarray],
    tolerance: float,
    passed: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Every expected parameter, compared on the scale of the largest value it had; ``passed``: points on the way."""
    for name, value in expected.items():
        scale = largest([value, *([] if passed is None else [passed[name]])])
        off = relative(found[name] - value, scale)
        named = ", ".join(f"{label} = {show_array(element)}" for label, element in zip("gh", elements, strict=False))
        require(LAW, f"factor '{factor.name}': {broken} '{name}'", off, tolerance, named)
