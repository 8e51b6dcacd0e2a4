"""All predictions that a declaration supports, and why the others do not apply."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import sympy as sp

from symtheory.errors import CalculusError, CodegenError, DerivationError
from symtheory.graph.computation_graph import ComputationGraph
from symtheory.graph.elementwise import ElementwiseModel
from symtheory.predictions import discrete_noether, label_noise, mirror, stationary_density, weight_decay
from symtheory.predictions.prediction import Prediction
from symtheory.symmetry.group import SymmetryGroup

Derivation = Callable[[ElementwiseModel, Mapping, str], Prediction]

MECHANISMS: dict[str, Derivation] = {
    discrete_noether.MECHANISM: discrete_noether.discrete_noether,
    mirror.MECHANISM: lambda model, charges, name: mirror.mirror(model, _quadratic(model, charges), name),
    label_noise.MECHANISM: lambda model, charges, name: label_noise.label_noise(model, name),
    stationary_density.MECHANISM: lambda model, charges, name: stationary_density.stationary_density(model, name),
    weight_decay.MECHANISM: lambda model, charges, name: weight_decay.weight_decay(model, name),
}
"""Mechanism name → derivation from one coordinate, its charges and the declaration's name."""


def _quadratic(model: ElementwiseModel, charges: Mapping) -> list[sp.Expr]:
    """Charges as quadratic forms: the square of a linear one is conserved as well."""
    degrees = [(charge, sp.Poly(charge, *model.coordinates).total_degree()) for charge in charges.values()]
    return [charge if degree == 2 else sp.expand(charge**2) for charge, degree in degrees]


class Predictions(Mapping[str, Prediction]):
    """Mechanism name → ``Prediction``; ``not_applicable`` says why others are missing."""

    def __init__(self, name: str, derivations: Mapping[str, Callable[[], Prediction]]) -> None:
        self._derived: dict[str, Prediction] = {}
        self.not_applicable: dict[str, str] = {}
        for mechanism, derive in derivations.items():
            try:
                self._derived[mechanism] = derive()
            except (CalculusError, CodegenError, DerivationError) as error:
                self.not_applicable[mechanism] = str(error)
        self._name = name

    @classmethod
    def of_coordinate(cls, model: ElementwiseModel, charges: Mapping, name: str) -> Predictions:
        """For a graph that acts coordinate by coordinate."""
        return cls(
            name,
            {mechanism: partial(derive, model, charges, name) for mechanism, derive in MECHANISMS.items()},
        )

    @classmethod
    def of_graph(cls, graph: ComputationGraph, group: SymmetryGroup, reason: str) -> Predictions:
        """For any other graph: what follows from its group; reason: why there is no more."""

        def refuse() -> Prediction:
            raise DerivationError(reason)

        of_group = {
            discrete_noether.MECHANISM: lambda: discrete_noether.discrete_noether_of_group(
                group, graph.parameters, graph.name
            )
        }
        return cls(graph.name, {mechanism: of_group.get(mechanism, refuse) for mechanism in MECHANISMS})

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
