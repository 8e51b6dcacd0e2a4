"""The geometry of one block of an elementwise parametrization under one metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import sympy as sp
from sympy.polys.matrices import DomainMatrix

from symtheory.errors import MetricError
from symtheory.geometry.christoffel_symbols import ChristoffelSymbols
from symtheory.geometry.curvature import Curvature, curvature
from symtheory.geometry.domain import check_domain, domain_conditions
from symtheory.geometry.exponential_map import ExponentialMap
from symtheory.geometry.geodesic import Geodesic, velocity_symbols
from symtheory.geometry.geodesic_solver import solve_geodesic
from symtheory.geometry.logarithm_map import LogarithmMap, solve_logarithm
from symtheory.geometry.metrics import MetricFamily, find_metric
from symtheory.geometry.vanishes import vanishes

if TYPE_CHECKING:
    from symtheory.graph.elementwise import ElementwiseModel


class ElementwiseGeometry:
    """Metric, connection and quotient structure of one coordinate block with k parameters.

    Every entry of the declared arrays carries the same k×k block, so the geometry at any size is a direct sum of
    copies of this one. Quantities are dimensionless.

    Args:
        model: one coordinate of the parametrization; k coordinates, predictor, generators.
        metric: name of a registered metric, or a metric.

    Raises:
        MetricError: unknown metric, or a metric that this model does not have.
    """

    def __init__(self, model: ElementwiseModel, metric: str | MetricFamily) -> None:
        self.model = model
        family = find_metric(metric)
        self.name = family.name
        self.coordinates: tuple[sp.Symbol, ...] = tuple(model.coordinates)
        self.metric: sp.ImmutableMatrix = family.on(model)

    def quadratic_form(self, xi: Sequence[sp.Expr] | None = None) -> sp.Expr:
        """g(ξ, ξ) for k velocities; symbols xi_<name> where none are given."""
        column = sp.Matrix(self._velocities(xi))
        return (column.T * self.metric * column)[0]

    def lie_derivative(self, generator: sp.MatrixBase) -> sp.ImmutableMatrix:
        """k×k matrix of L_X g along X = A θ: the derivative of g along X, plus Aᵀg + gA. Zero if X is an isometry."""
        field = generator * sp.Matrix(self.coordinates)
        moved = self.metric.applyfunc(
            lambda entry: sum(sp.diff(entry, x) * v for x, v in zip(self.coordinates, field, strict=True))
        )
        total = moved + generator.T * self.metric + self.metric * generator
        return sp.ImmutableMatrix(total.applyfunc(lambda entry: sp.S.Zero if vanishes(entry) else sp.cancel(entry)))

    def broken_generator(self) -> sp.Matrix | None:
        """The first generator along which the metric is not invariant, or None."""
        return self._broken

    @cached_property
    def _broken(self) -> sp.Matrix | None:
        return next((A for A in self.model.generators if not self.lie_derivative(A).is_zero_matrix), None)

    def is_invariant(self) -> bool:
        """Whether the Lie derivative of the metric vanishes along every generator, exactly."""
        return self._broken is None

    def vertical_gram(self) -> sp.ImmutableMatrix:
        """r×r matrix g(X_a, X_b) of the r vector fields X_a = A_a θ."""
        fields = self._vertical_fields(self.model.generators)
        return sp.ImmutableMatrix((fields.T * self.metric * fields).applyfunc(sp.cancel))

    @cached_property
    def horizontal_projection(self) -> sp.ImmutableMatrix:
        """k×k matrix of the g-orthogonal projection along the orbit; the identity where there is no generator.

        Raises MetricError when the metric is not invariant (the generator is named) or degenerate along the orbit.
        """
        self._require_invariance()
        identity = sp.eye(len(self.coordinates))
        if not self.model.generators:
            return sp.ImmutableMatrix(identity)
        fields, metric = DomainMatrix.from_Matrix(self._independent_fields()).unify(
            DomainMatrix.from_Matrix(sp.Matrix(self.metric))
        )
        fields, metric = fields.to_field(), metric.to_field()
        gram = fields.transpose() * metric * fields
        if gram.rank() < gram.shape[0]:
            raise MetricError(f"the {self.name} metric is degenerate along the orbit: use 'invariant' or 'mixed'")
        vertical = (fields * gram.inv() * fields.transpose() * metric).to_Matrix()
        return sp.ImmutableMatrix(identity - vertical).applyfunc(lambda e: sp.cancel(e) if e.is_Add else e)

    def horizontal_dimension(self) -> int:
        """Dimension of the horizontal space at a generic point."""
        return len(self.coordinates) - int(self._independent_fields().cols)

    def christoffel(self) -> ChristoffelSymbols:
        """Christoffel symbols in the k coordinates. Raises MetricError when the metric is singular."""
        return self._christoffel

    @cached_property
    def _christoffel(self) -> ChristoffelSymbols:
        return ChristoffelSymbols(self.metric, self.coordinates)

    def christoffel_form(self, xi: Sequence[sp.Expr] | None = None) -> tuple[sp.Expr, ...]:
        """The k components Γ^i_kl ξ^k ξ^l; symbols xi_<name> where no velocities are given."""
        return self._christoffel.form(self._velocities(xi))

    def geodesic(self, horizontal: bool = False) -> Geodesic:
        """The geodesic: a closed form for all velocities if there is one, else for horizontal ones, else none.

        With `horizontal`, only the closed form of horizontal geodesics is looked for.
        Raises MetricError when the metric is singular.
        """
        return solve_geodesic(self, horizontal)

    def exponential(self, horizontal: bool = False) -> ExponentialMap:
        """exp_θ(ξ) = γ(1) in closed form: for all tangents if there is one, else for horizontal ones.

        With `horizontal`, only the closed form of horizontal geodesics is looked for.
        Raises MetricError when the metric is singular, and DerivationError when no closed form is known.
        """
        return ExponentialMap.of(self.geodesic(horizontal))

    def logarithm(self, horizontal: bool = False) -> LogarithmMap:
        """The inverse of `exponential`: the tangent ξ with exp_θ(ξ) = θ'; on a quotient, in the orbit of θ'.

        Raises MetricError when the metric is singular, and DerivationError, saying why, when no closed form is known.
        """
        return solve_logarithm(self, horizontal)

    def curvature(self) -> Curvature:
        """Riemann tensor, Ricci tensor and scalar curvature. Raises MetricError when the metric is singular."""
        return curvature(self.metric, self._christoffel)

    @cached_property
    def domain_conditions(self) -> tuple[sp.Expr, ...]:
        """Expressions in the coordinates that must not vanish for the metric to be defined and regular."""
        return domain_conditions(self.metric, self.coordinates)

    def check_domain(self, point: Mapping[str, Any]) -> None:
        """Raise DomainError, naming the expression that vanishes, if a point is outside the domain.

        point: {parameter name: number or array}; all arrays have one shape.
        """
        check_domain(self.domain_conditions, self.coordinates, point, self.name)

    def components(self, size: int) -> tuple[sp.Matrix, tuple[sp.Symbol, ...]]:
        """The metric in explicit components for arrays of `size` entries: (k·size)×(k·size) matrix and coordinates.

        Coordinates are ordered parameter by parameter: u_1 … u_d, v_1 … v_d.
        """
        blocks = [
            {x: sp.Symbol(f"{x.name}_{entry}", **x.assumptions0) for x in self.coordinates}
            for entry in range(1, size + 1)
        ]
        matrix = sp.zeros(size * len(self.coordinates))
        for entry, renaming in enumerate(blocks):
            for (i, j), value in self.metric.todok().items():
                matrix[i * size + entry, j * size + entry] = value.xreplace(renaming)
        return matrix, tuple(renaming[x] for x in self.coordinates for renaming in blocks)

    def _velocities(self, xi: Sequence[sp.Expr] | None) -> list[sp.Expr]:
        return list(velocity_symbols(self.coordinates).values() if xi is None else xi)

    def _vertical_fields(self, generators: Sequence[sp.MatrixBase]) -> sp.Matrix:
        point = sp.Matrix(self.coordinates)
        return sp.Matrix.hstack(sp.zeros(len(self.coordinates), 0), *(A * point for A in generators))

    def _independent_fields(self) -> sp.Matrix:
        """k×r' matrix of the generators' fields, those left out that depend on earlier ones at a generic point."""
        fields = self._vertical_fields(self.model.generators)
        if not fields.cols:
            return fields
        _, pivots = DomainMatrix.from_Matrix(fields).to_field().rref()
        return fields[:, list(pivots)]

    def _require_invariance(self) -> None:
        broken = self._broken
        if broken is not None:
            field = ", ".join(map(str, broken * sp.Matrix(self.coordinates)))
            names = ", ".join(map(str, self.coordinates))
            raise MetricError(
                f"the {self.name} metric is not invariant along the generator {broken.tolist()}, "
                f"({names}) -> ({field}), so it defines no quotient: use 'invariant' or 'mixed'"
            )
