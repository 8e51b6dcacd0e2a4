"""Parametrization: the one object a user holds, and the door to what can be derived from it."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from symtheory.geometry import ElementwiseGeometry, MetricFamily
from symtheory.graph.computation_graph import ComputationGraph
from symtheory.graph.elementwise import ElementwiseModel
from symtheory.predictions.predictions import Predictions
from symtheory.symmetry.coordinatewise_group import CoordinatewiseGroup
from symtheory.symmetry.find import find_symmetries
from symtheory.symmetry.group import SymmetryGroup

if TYPE_CHECKING:
    from symtheory.symmetry.certificate import Certificate


class Parametrization(ComputationGraph):
    """A predictor written in its parameters, and everything this choice implies for training.

    ``Parametrization(predictor, name=..., parameters=...)``; see ``ComputationGraph`` for the graph itself. Results
    are derived at first use and kept.
    """

    @cached_property
    def _group(self) -> SymmetryGroup:
        return find_symmetries(self)

    def symmetries(self) -> SymmetryGroup:
        """The connected group of linear changes of the parameters that leave the predictor as it is."""
        return self._group

    def conserved(self) -> dict[str, Any]:
        """Conserved quantities of gradient flow by name: scalars per coordinate, or matrix expressions."""
        return self._group.charges

    def certify(self, **sizes: int) -> Certificate:
        """Whether the group found is all there is, at the given sizes (free ones must be given).

        Compares it with all affine symmetries, found by exact linear algebra, and with the nullity of the Jacobian,
        and counts the conservation laws of gradient flow. Raises ``DeclarationError`` for a size that is missing and
        ``CertificateError`` for an instance that is too large. Source: Marcotte et al. 2023 (2307.00144).
        """
        from symtheory.symmetry.certificate import certify

        bound = self.bind(**sizes) if sizes else self
        return certify(bound, bound.symmetries())

    @cached_property
    def model(self) -> ElementwiseModel:
        """One coordinate with its generators; ``CalculusError`` unless the graph acts coordinate by coordinate."""
        matrices = [
            matrix for factor in self._group if isinstance(factor, CoordinatewiseGroup) for matrix in factor.matrices
        ]
        return replace(self.elementwise, generators=tuple(matrices))

    def geometry(self, metric: str | MetricFamily = "mixed") -> ElementwiseGeometry:
        """Geometry of one coordinate: "euclidean", "invariant", "mixed", "pullback", or a ``Metric`` of one's own.

        Raises ``CalculusError`` for a graph that mixes coordinates and ``MetricError`` for an unknown or unfit metric.
        """
        return ElementwiseGeometry(self.model, metric)

    @cached_property
    def _predictions(self) -> Predictions:
        return Predictions(self.model, self._group.charges, self.name)

    def predictions(self) -> Predictions:
        """Mechanism name → ``Prediction``; ``.not_applicable`` gives the reasons for the missing ones.

        Raises ``CalculusError`` for a graph that mixes coordinates.
        """
        return self._predictions
