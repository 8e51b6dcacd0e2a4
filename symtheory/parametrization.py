"""Parametrization: the one object a user holds, and the door to what can be derived from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from symtheory.errors import CalculusError, DeclarationError
from symtheory.geometry import ElementwiseGeometry, MatrixGeometry, MetricFamily
from symtheory.geometry.matrix.model import MatrixModel
from symtheory.geometry.metrics import Pullback, find_metric
from symtheory.geometry.pullback_geometry import PullbackGeometry
from symtheory.graph.computation_graph import ComputationGraph
from symtheory.graph.elementwise import ElementwiseModel
from symtheory.graph.node import Node
from symtheory.predictions.predictions import Predictions
from symtheory.predictions.readout import Readout
from symtheory.predictions.subject import Subject
from symtheory.symmetry.charge import Charge, charges_of, momentum_charges
from symtheory.symmetry.declared import declare
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
        """The connected group of affine changes of the parameters that leave the predictor as it is; discrete ones
        beside it."""
        return self._group

    def with_symmetry(self, name: str, changes: Mapping[str, Node]) -> Parametrization:
        """The same parametrization with one more factor in its group: a vector field of one's own, once verified.

        changes: parameter → node of its infinitesimal change, affine in the parameters and linear in one
        ``st.constant`` that stands for an element of the Lie algebra. The sizes must be bound. Raises
        ``SymmetryError`` with a counterexample point when the predictor moves along the field, and
        ``DeclarationError`` for a field of another form or a name that is taken.
        """
        if name in {factor.name for factor in self._group}:
            raise DeclarationError(f"'{self.name}' has a symmetry factor '{name}' already: choose another name")
        declared = declare(self, name, changes)
        extended = Parametrization(self.predictor, self.name)
        extended._group = replace(self._group, factors=(*self._group.factors, declared))
        return extended

    def conserved(self, dynamics: str = "gradient_flow") -> dict[str, Any]:
        """Conserved quantities by name: scalars per coordinate, or matrix expressions.

        dynamics: "gradient_flow" (θ' = −∇L), "weight_decay" (θ' = −∇L − λθ) or "momentum" (θ'' + τθ' + ∇L = 0); those
        of the last two contain the time t. Raises ``DeclarationError`` for another word.
        """
        if dynamics == "gradient_flow":
            return self._group.charges
        if dynamics == "weight_decay":
            return {charge.name: charge.under_weight_decay for charge in self.charges()}
        if dynamics == "momentum":
            return momentum_charges(self._group)
        raise DeclarationError(f"dynamics '{dynamics}' are unknown: choose gradient_flow, weight_decay or momentum")

    def charges(self) -> tuple[Charge, ...]:
        """The conserved quantities of gradient flow, each with its law under weight decay and under momentum."""
        return charges_of(self._group)

    def certify(self, **sizes: int) -> Certificate:
        """Whether the group found is all there is, at the given sizes (free ones must be given).

        Compares it with all affine symmetries, found by exact linear algebra, and with the nullity of the Jacobian,
        and counts the conservation laws of gradient flow and of momentum flow. Raises ``DeclarationError`` for a size
        that is missing and ``CertificateError`` for an instance that is too large, naming sizes that would do.
        Sources: Marcotte et al. 2023 (2307.00144), 2024 (2405.12888).
        """
        from symtheory.symmetry.certificate import bound_for_certificate, certify

        bound = bound_for_certificate(self, sizes)
        return certify(bound, bound.symmetries())

    @cached_property
    def subject(self) -> Subject:
        """What predictions are derived from."""
        return Subject(self, self._group)

    @property
    def model(self) -> ElementwiseModel:
        """One coordinate with its generators; ``CalculusError`` unless the graph acts coordinate by coordinate."""
        return self.subject.coordinate

    @property
    def readout(self) -> Readout | None:
        """The fixed linear map after the coordinates, as in cumsum(u ⊙ v); None where the graph has no such form."""
        return self.subject.readout

    def geometry(self, metric: str | MetricFamily = "mixed") -> ElementwiseGeometry | MatrixGeometry | PullbackGeometry:
        """Geometry under "euclidean", "invariant", "mixed", "pullback", or a metric of one's own.

        Of one coordinate where the graph acts on each by itself, else of the parameters as matrices. Raises
        ``CalculusError`` for a graph that has neither and ``MetricError`` for an unknown or unfit metric.
        """
        try:
            model = self.model
        except CalculusError:
            family = find_metric(metric)
            if isinstance(family, Pullback):
                return PullbackGeometry(self, family)
            return MatrixGeometry(self.matrix_model, family)
        return ElementwiseGeometry(model, metric)

    @property
    def matrix_model(self) -> MatrixModel:
        """The parameters as matrices with the group in their terms; ``CalculusError`` where it needs more axes."""
        return self.subject.matrices

    @cached_property
    def _predictions(self) -> Predictions:
        return Predictions(self.subject)

    def predictions(self) -> Predictions:
        """Mechanism name → ``Prediction``; ``.not_applicable`` gives the reasons for the missing ones."""
        return self._predictions
