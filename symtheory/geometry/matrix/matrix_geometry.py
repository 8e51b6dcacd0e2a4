"""The geometry of a parametrization made of matrices under one metric."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import sympy as sp

from symtheory.errors import MetricError, SingularMetricError
from symtheory.geometry.explicit_geometry import ExplicitGeometry
from symtheory.geometry.matrix.block_metric import BlockMetric
from symtheory.geometry.matrix.connection import ChristoffelForm, bilinear, christoffel_form
from symtheory.geometry.matrix.explicit import explicit_geometry
from symtheory.geometry.matrix.generic_rank import singular_definition
from symtheory.geometry.matrix.invariance import broken_factor
from symtheory.geometry.matrix.matrix_geodesic import MatrixGeodesic
from symtheory.geometry.matrix.model import MatrixModel
from symtheory.geometry.matrix.vertical import VerticalSpace, vertical_space
from symtheory.geometry.metrics import MetricFamily, find_metric
from symtheory.matrix_calculus.definitions import Definitions
from symtheory.matrix_calculus.polynomial import Polynomial, letter

if TYPE_CHECKING:
    from symtheory.geometry.curvature import Curvature


class MatrixGeometry:
    """Metric, connection and quotient structure of a parametrization whose parameters are matrices.

    Every parameter is seen as a matrix, or as one for each copy (each head of attention); formulas are of one copy and
    hold at any size. Where a bias makes up for the shift of an earlier one, they are written in straightened
    coordinates, in which every shift moves its own parameter alone: ``straightened`` says what these are. Quantities
    are dimensionless.

    Args:
        model: the parameters as matrices, and the group in their terms.
        metric: name of a registered metric, or a metric.

    Raises:
        MetricError: unknown metric, or one that this model does not have.
        SingularMetricError: the metric is singular at the sizes given.
    """

    def __init__(self, model: MatrixModel, metric: str | MetricFamily) -> None:
        family = find_metric(metric)
        self.name = family.name
        self.model = model
        self.blocks: BlockMetric = family.blocks(model)
        self.velocity: dict[str, sp.MatrixSymbol] = model.tangent("xi")
        singular = singular_definition(self.blocks)
        if singular is not None:
            raise SingularMetricError(f"the {self.name} metric is singular: {singular}")

    @property
    def symbols(self) -> dict[str, sp.MatrixSymbol]:
        """Parameter → its symbol, one matrix of its family."""
        return self.model.symbols

    @cached_property
    def straightened(self) -> dict[str, Any]:
        """Parameter → the expression that takes its place in straightened coordinates; empty for most graphs."""
        if not self.blocks.is_straightened:
            return {}
        return {name: value.expression() for name, value in self.model.straightened.items()}

    @cached_property
    def metric(self) -> sp.Expr:
        """⟨ξ, ζ⟩ as a sum of traces, ξ and ζ named xi_P and zeta_P for a parameter P."""
        xi, zeta = (self._tangent(self.model.tangent(name)) for name in ("xi", "zeta"))
        return self.blocks.definitions.expression(self.blocks.inner(xi, zeta))

    def is_invariant(self) -> bool:
        """Whether the metric is proved invariant: its Lie derivative vanishes along every field of the group.

        Exact where it is True. Of a trace form of one's own False can also mean that the change of a weight was not
        recognised as a law of transformation.
        """
        return self._broken is None

    @cached_property
    def _broken(self) -> tuple[Any, Any] | None:
        return broken_factor(self.blocks)

    def require_invariance(self) -> None:
        """Raises ``MetricError``, naming the factor, where the metric is not invariant and so defines no quotient.

        A relaxed metric counts as the metric that it relaxes.
        """
        exact = self.blocks.exact
        broken = self._broken if exact is None else broken_factor(exact)
        if broken is not None:
            factor, derivative = broken
            raise MetricError(
                f"the {self.name} metric is not invariant along '{factor.name}' (its Lie derivative is {derivative}), "
                "so it defines no quotient: use 'invariant' or 'mixed'"
            )

    @cached_property
    def vertical_space(self) -> VerticalSpace:
        """What the group spans, with its Gram operators. Raises ``MetricError`` where the metric is not invariant."""
        self.require_invariance()
        return vertical_space(self.blocks, self.velocity)

    @property
    def horizontal_projection(self) -> VerticalSpace:
        """ξ ↦ ξ − field(a) with gram(a) = moment(ξ): fields, Gram operators and moments of all factors."""
        return self.vertical_space

    @cached_property
    def connection(self) -> ChristoffelForm:
        """Γ(ξ, ξ) with its named intermediates."""
        return christoffel_form(self.blocks, self.velocity)

    def christoffel_form(self, xi: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Γ(ξ, ξ), parameter → matrix expression; a geodesic has γ'' = −Γ(γ', γ').

        xi: parameter → matrix expression; symbols xi_P where none are given.
        """
        return self._with_velocity(
            {name: self.connection.definitions.expression(value) for name, value in self.connection.values.items()}, xi
        )

    def christoffel(self, xi: Mapping[str, Any] | None = None, eta: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Γ(ξ, η) by polarization, parameter → matrix expression; symbols xi_P and eta_P where none are given."""
        other = self.model.tangent("eta")
        values = bilinear(self.connection, self.velocity, other)
        written = {name: self.connection.definitions.expression(value) for name, value in values.items()}
        return self._with_velocity(self._with_velocity(written, xi), eta, other)

    def _with_velocity(
        self, written: dict[str, Any], given: Mapping[str, Any] | None, symbols: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        if given is None:
            return written
        replaced = {symbol: given[name] for name, symbol in (symbols or self.velocity).items()}
        return {name: value.xreplace(replaced) for name, value in written.items()}

    def gradient(self, euclidean: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The Riemannian gradient 𝒢⁻¹∇L; euclidean: parameter → ∇L, symbols d_P where none is given."""
        symbols = self.model.tangent("d")
        raised = {name: self.blocks.blocks[name].raise_(letter(symbol)) for name, symbol in symbols.items()}
        written = {name: self.blocks.definitions.expression(value) for name, value in raised.items()}
        return self._with_velocity(written, euclidean, symbols)

    def geodesic(self) -> MatrixGeodesic:
        """The geodesic from the point along ξ: Taylor polynomials, and the closed form where all is straight."""
        return MatrixGeodesic(self.symbols, self.velocity, self.connection)

    def explicit(self) -> ExplicitGeometry:
        """The same geometry in explicit components: all Christoffel symbols, curvature, O'Neill's term.

        Raises ``MetricError`` for sizes that are not bound. For small sizes: a 12-dimensional point takes a second.
        """
        return explicit_geometry(self.blocks)

    def curvature(self) -> Curvature:
        """Riemann and Ricci tensor and scalar curvature in explicit components, for bound and very small sizes.

        ``explicit().curvature_at(point)`` is far faster. Raises ``MetricError`` for sizes that are not bound.
        """
        return self.explicit().curvature()

    @property
    def definitions(self) -> Definitions:
        """What the symbols of ``blocks`` stand for."""
        return self.blocks.definitions

    def _tangent(self, symbols: Mapping[str, sp.MatrixSymbol]) -> dict[str, Polynomial]:
        return {name: letter(symbol) for name, symbol in symbols.items()}
