"""Law: φ(g·θ; x) = φ(θ; x)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from symtheory.errors import DomainError
from symtheory.symmetry.factor import Factor
from symtheory.testing.deviation import TOLERANCE, largest, relative, require, show_array, show_sizes
from symtheory.testing.subject import Function, Subject, Symmetry, elements_of, moved, subject_of


def predictor_is_invariant(
    symmetry: Symmetry,
    point: Mapping[str, Any],
    g: Mapping[str, Any],
    data: Mapping[str, Any] | None = None,
    function: Function = None,
    tolerance: float = TOLERANCE,
) -> None:
    """The predictor keeps its value while the factors named in ``g`` act one after the other, in the group's order.

    g: factor name → element; data: input or constant → array (None: standard ones). The deviation is relative to the
    largest entry of the predictor, or to the largest change that moving one parameter alone makes, if that is larger.
    Raises ``AssertionError`` naming the factor, the parameters it moves and the deviation; ``DomainError`` where the
    predictor is not finite.
    """
    subject = subject_of(symmetry, point, data, function)
    here, before = subject.point, subject.value(subject.point)
    for factor, element in elements_of(subject.group, g):
        there = moved(factor, element, here, subject.data)
        after = subject.value(there)
        alone = _changes_alone(subject, factor, here, there)
        off = relative(after - before, largest([before, *alone.values()]))
        require(
            "predictor_is_invariant", _accused(subject, factor), off, tolerance, _details(before, after, alone, element)
        )
        here = there


def _changes_alone(
    subject: Subject, factor: Factor, here: Mapping[str, np.ndarray], there: Mapping[str, np.ndarray]
) -> dict[str, float]:
    """Parameter → largest change of the predictor when it alone moves; what is not finite is left out."""
    value = subject.value(here)
    changes = {}
    for name in factor.shapes:
        try:
            changes[name] = largest([subject.value({**here, name: there[name]}) - value])
        except DomainError:
            continue
    return changes


def _accused(subject: Subject, factor: Factor) -> str:
    return f"factor '{factor.name}' on {', '.join(factor.shapes)} moves the predictor of '{subject.name}'"


def _details(before: np.ndarray, after: np.ndarray, alone: Mapping[str, float], element: np.ndarray) -> str:
    place = np.unravel_index(int(np.argmax(np.abs(after - before))), before.shape)
    entry = f"entry {[int(index) for index in place]}" if place else "the value"
    return (
        f"{entry} was {before[place]:.6g} and became {after[place]:.6g}; "
        f"changes by single parameters: {show_sizes(alone)}; g = {show_array(element)}"
    )
