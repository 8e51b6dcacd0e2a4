"""Law: dC(θ)[∇L(θ)] = 0, so that gradient flow conserves every charge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from symtheory.symmetry.factor import Factor
from symtheory.testing.deviation import TOLERANCE, relative, require, show_sizes
from symtheory.testing.functional import random_functional_gradient
from symtheory.testing.subject import Function, Symmetry, subject_of


def charge_is_conserved(
    symmetry: Symmetry,
    point: Mapping[str, Any],
    data: Mapping[str, Any] | None = None,
    function: Function = None,
    seed: int = 0,
    tolerance: float = TOLERANCE,
) -> None:
    """The charges of every factor do not change, to first order, along the gradient of a random functional.

    seed: of the functional. Charges are quadratic or linear, so that a central difference of unit steps is their exact
    derivative. Deviations are relative to the sum of the absolute terms of dC[∇L]. Raises ``AssertionError`` naming the
    factor, the charge, what each parameter contributes, and the deviation; ``DomainError`` where predictor or gradient
    are not finite.
    """
    subject = subject_of(symmetry, point, data, function)
    gradient = random_functional_gradient(subject, np.random.default_rng(seed))
    for factor in subject.group:
        for charge, slopes in _differentials(factor, subject.point).items():
            terms = {name: slope * gradient.parts[name].ravel() for name, slope in slopes.items()}
            changes = {name: np.asarray(term.sum(axis=-1)) for name, term in terms.items()}
            sizes = sum(np.abs(term).sum(axis=-1) for term in terms.values())
            floor = gradient.floor * sum(np.abs(slope).sum(axis=-1) for slope in slopes.values())
            off = relative(sum(changes.values(), np.zeros(())), np.maximum(sizes, floor))
            worst = {name: float(np.abs(change).max(initial=0.0)) for name, change in changes.items()}
            broken = f"factor '{factor.name}': gradient flow of '{subject.name}' changes the charge '{charge}'"
            require("charge_is_conserved", broken, off, tolerance, f"changes by single parameters: {show_sizes(worst)}")


def _differentials(factor: Factor, point: Mapping[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """Charge → parameter → derivatives by its entries, shape (*charge, entries)."""
    if not factor.has_charge:
        return {}
    own = {name: np.asarray(value, dtype=np.float64) for name, value in point.items()}
    slopes: dict[str, dict[str, list[np.ndarray]]] = {}
    for name in factor.shapes:
        for place in np.ndindex(own[name].shape):
            ahead, behind = (factor.charge_values({**own, name: _stepped(own[name], place, s)}) for s in (1.0, -1.0))
            for charge in ahead:
                by_entry = slopes.setdefault(charge, {}).setdefault(name, [])
                by_entry.append(np.asarray((ahead[charge] - behind[charge]) / 2))
    return {
        charge: {name: np.stack(by_entry, axis=-1) for name, by_entry in parts.items()}
        for charge, parts in slopes.items()
    }


def _stepped(array: np.ndarray, place: tuple[int, ...], step: float) -> np.ndarray:
    stepped = array.copy()
    stepped[place] += step
    return stepped
