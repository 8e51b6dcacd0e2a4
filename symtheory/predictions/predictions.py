"""All predictions that a declaration supports, and why the others do not apply."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from symtheory.errors import CalculusError, CodegenError, DerivationError
from symtheory.predictions import (
    discrete_noether,
    finite_step_covariance,
    joint_stationary_density,
    label_noise,
    mirror,
    modified_loss,
    noise_equilibrium,
    orbit_volume,
    scale_equilibrium,
    sharpness_gap,
    stationary_density,
    weight_decay,
)
from symtheory.predictions.prediction import Prediction
from symtheory.predictions.subject import Subject

Derivation = Callable[[Subject], Prediction]


def after_coordinates(derive: Derivation) -> Derivation:
    """A derivation for coordinates, widened to graphs that map their coordinates linearly: the one place for that."""

    def derived(subject: Subject) -> Prediction:
        prediction = derive(subject.coordinates)
        return prediction if subject.readout is None else subject.readout.carry(prediction)

    return derived


MECHANISMS: dict[str, Derivation] = {
    discrete_noether.MECHANISM: discrete_noether.derive,
    mirror.MECHANISM: after_coordinates(mirror.derive),
    label_noise.MECHANISM: after_coordinates(label_noise.derive),
    stationary_density.MECHANISM: stationary_density.derive,
    joint_stationary_density.MECHANISM: joint_stationary_density.derive,
    weight_decay.MECHANISM: after_coordinates(weight_decay.derive),
    finite_step_covariance.MECHANISM: finite_step_covariance.derive,
    scale_equilibrium.MECHANISM: scale_equilibrium.derive,
    modified_loss.MECHANISM: modified_loss.derive,
    noise_equilibrium.MECHANISM: noise_equilibrium.derive,
    orbit_volume.MECHANISM: orbit_volume.derive,
    sharpness_gap.MECHANISM: sharpness_gap.derive,
}
"""Mechanism name → derivation from a declaration. One that does not apply raises ``DerivationError`` with the reason;
``CalculusError`` and ``CodegenError`` from the calculi below are taken as reasons too."""


class Predictions(Mapping[str, Prediction]):
    """Mechanism name → ``Prediction``; ``not_applicable`` says why others are missing."""

    def __init__(self, subject: Subject) -> None:
        self._derived: dict[str, Prediction] = {}
        self.not_applicable: dict[str, str] = {}
        for mechanism, derive in MECHANISMS.items():
            try:
                self._derived[mechanism] = derive(subject)
            except (CalculusError, CodegenError, DerivationError) as error:
                self.not_applicable[mechanism] = str(error)
        self._name = subject.name

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
