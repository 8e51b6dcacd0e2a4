"""All predictions that a declaration supports, and why the others do not apply."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from symtheory.errors import DerivationError
from symtheory.graph.elementwise import ElementwiseModel
from symtheory.predictions import discrete_noether, label_noise, mirror, stationary_density, weight_decay
from symtheory.predictions.prediction import Prediction

Derivation = Callable[[ElementwiseModel, Mapping, str], Prediction]

MECHANISMS: dict[str, Derivation] = {
    discrete_noether.MECHANISM: discrete_noether.discrete_noether,
    mirror.MECHANISM: lambda model, charges, name: mirror.mirror(model, list(charges.values()), name),
    label_noise.MECHANISM: lambda model, charges, name: label_noise.label_noise(model, name),
    stationary_density.MECHANISM: lambda model, charges, name: stationary_density.stationary_density(model, name),
    weight_decay.MECHANISM: lambda model, charges, name: weight_decay.weight_decay(model, name),
}
"""Mechanism name → derivation from one coordinate, its charges and the declaration's name."""


class Predictions(Mapping[str, Prediction]):
    """Mechanism name → ``Prediction``; ``not_applicable`` says why others are missing."""

    def __init__(self, model: ElementwiseModel, charges: Mapping, name: str) -> None:
        self._derived: dict[str, Prediction] = {}
        self.not_applicable: dict[str, str] = {}
        for mechanism, derive in MECHANISMS.items():
            try:
                self._derived[mechanism] = derive(model, charges, name)
            except DerivationError as error:
                self.not_applicable[mechanism] = str(error)
        self._name = name

    def __getitem__(self, mechanism: str) -> Prediction:
        if mechanism in self._derived:
            return self._derived[mechanism]
        reason = self.not_applicable.get(mechanism, f"no such mechanism; known are {', '.join(MECHANISMS)}")
        raise DerivationError(f"no prediction '{mechanism}' for '{self._name}': {reason}")

    def get(self, mechanism: str, default: Any = None) -> Any:
        """The prediction, or ``default`` where there is none."""
        return self._derived.get(mechanism, default)

    def __contains__(self, mechanism: object) -> bool:
        return mechanism in self._derived

    def __iter__(self) -> Iterator[str]:
        return iter(self._derived)

    def __len__(self) -> int:
        return len(self._derived)
