"""The torch functions of an elementwise geometry: what ``generate`` puts into a module for one metric."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import sympy as sp

from symtheory.codegen.arguments import Argument, DictArgument, ScalarArgument
from symtheory.codegen.docstring import shape_text
from symtheory.codegen.function import TorchFunction
from symtheory.codegen.passes import count_passes
from symtheory.errors import DerivationError, MetricError
from symtheory.generation.assembly import GEOMETRY
from symtheory.generation.domain_function import render_check_domain
from symtheory.generation.geodesic_function import TAYLOR_NAMES, christoffel_rate, render_geodesic
from symtheory.generation.log_velocity_form import LogVelocityForm
from symtheory.generation.matrix_text import HESSIAN, HESSIAN_TRACE, NORM
from symtheory.generation.weight_form import WeightForm
from symtheory.geometry import ElementwiseGeometry, Geodesic
from symtheory.graph.elementwise import ElementwiseModel
from symtheory.graph.symbol_names import free_name
from symtheory.parametrization import Parametrization
from symtheory.predictions.gauge_correction import gauge_correction
from symtheory.symmetry.element_names import element_names

TANGENTS = ("xi", "zeta", "gradient", "other")
"""Arguments that have the keys and shapes of a point."""


@dataclass(frozen=True)
class GeometryFunctions:
    """Sources of ``inner`` … ``gauge_correction`` for one declaration in one metric."""

    parametrization: Parametrization
    geometry: ElementwiseGeometry

    wanted: ClassVar[Mapping[str, tuple[str, ...]]] = {
        **GEOMETRY,
        "exponential": (),
        "logarithm": (),
        "gauge_correction": (),
    }
    left_out: ClassVar[Mapping[str, str]] = {}

    @property
    def model(self) -> ElementwiseModel:
        return self.parametrization.model

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.parametrization.parameters)

    @cached_property
    def axes(self) -> int:
        return len(self.parametrization.predictor.shape)

    def point(self) -> DictArgument:
        return DictArgument("point", self._symbols(""), dict(self.parametrization.parameters))

    def tangent(self, name: str) -> DictArgument:
        return DictArgument(name, self._symbols(f"{name}_"), dict(self.parametrization.parameters))

    def _symbols(self, prefix: str) -> dict[str, sp.Symbol]:
        """A symbol for each parameter; with a prefix, one that is no parameter's own."""
        taken = self.names if prefix else ()
        return {name: sp.Symbol(free_name(prefix + name, taken), real=True) for name in self.names}

    def _vector(self, prefix: str) -> sp.Matrix:
        return sp.Matrix(list(self._symbols(prefix).values()))

    @cached_property
    def _weights(self) -> WeightForm | None:
        try:
            return WeightForm.of(self.geometry)
        except DerivationError:
            return None

    @cached_property
    def _log_velocities(self) -> LogVelocityForm | None:
        return LogVelocityForm.of(self._weights) if self._weights else None

    def _tangent_result(self, vector: Iterable[sp.Expr]) -> dict[str, sp.Expr]:
        return dict(zip(self.names, vector, strict=True))

    def inner(self) -> str:
        xi, zeta = self._vector("xi_"), self._vector("zeta_")
        forms = [(xi.T * self.geometry.metric * zeta)[0]]
        if self._weights is not None:
            forms.append(self._weights.inner(xi, zeta))
        arguments = (self.point(), self.tangent("xi"), self.tangent("zeta"))
        summary = f"Inner product <xi, zeta> in the {self._metric} metric."
        return self._cheapest("inner", arguments, forms, summary, True)

    def norm(self) -> str:
        return NORM.format(metric=self._metric)

    def flat(self) -> str:
        lowered = self.geometry.metric * self._vector("xi_")
        return self._cheapest(
            "flat",
            (self.point(), self.tangent("xi")),
            [self._tangent_result(form) for form in (lowered, lowered.applyfunc(sp.factor))],
            f"The covector <xi, ·> of the {self._metric} metric.",
        )

    def sharp(self) -> str:
        if self.geometry.metric.det() == 0:
            raise MetricError(f"the {self._metric} metric is singular: no tangent belongs to a covector")
        raised = self.geometry.metric.inv() * self._vector("d_")
        gradient = DictArgument("gradient", self._symbols("d_"), dict(self.parametrization.parameters))
        return self._cheapest(
            "sharp",
            (self.point(), gradient),
            [self._tangent_result(raised.applyfunc(tidy)) for tidy in (sp.cancel, sp.factor)],
            f"The {self._metric} gradient, a tangent, of a function with this Euclidean gradient.",
        )

    def frame(self) -> str:
        z = list(self._vector("z_"))
        coefficients = DictArgument("coefficients", self._symbols("z_"), dict(self.parametrization.parameters))
        if self.geometry.metric.is_diagonal():
            entries = self.geometry.metric.diagonal()
            lengths = [value / sp.sqrt(entry) for value, entry in zip(z, entries, strict=True)]
        elif self._weights is not None and self._weights.metric().is_diagonal():
            lengths = self._weights.frame(z)
        else:
            raise DerivationError("the metric couples parameters: it has no frame along them")
        return self._render(
            "frame",
            (self.point(), coefficients),
            self._tangent_result(lengths),
            f"Tangent with these coefficients in an orthonormal frame of the {self._metric} metric.",
        )

    def riemannian_hessian(self) -> str:
        return HESSIAN.format(metric=self._metric)

    def hessian_trace(self) -> str:
        return HESSIAN_TRACE.format(metric=self._metric)

    def vertical(self) -> str:
        group = self.parametrization.symmetries()
        if not self.model.generators:
            raise DerivationError("there is no coordinatewise symmetry, so nothing is vertical")
        symbols = [sp.Symbol(free_name(f"a_{name}", self.names), real=True) for name in element_names(group)]
        fields = [self.model.vector_field(matrix) for matrix in self.model.generators]
        total = sum((a * field for a, field in zip(symbols, fields, strict=True)), sp.zeros(len(self.names), 1))
        shape = self.parametrization.predictor.shape
        algebra = DictArgument(
            "algebra",
            dict(zip(element_names(group), symbols, strict=True)),
            dict.fromkeys(element_names(group), shape),
        )
        return self._render(
            "vertical",
            (self.point(), algebra),
            self._tangent_result(total),
            "Infinitesimal action of a Lie algebra element: the tangent of the orbit.",
        )

    def project_horizontal(self) -> str:
        xi = self._vector("xi_")
        projected = self.geometry.horizontal_projection * xi
        forms = [list(projected), list(projected.applyfunc(sp.factor))]
        scaled = self._log_velocities.horizontal(list(xi)) if self._log_velocities else None
        if scaled is not None:
            forms.append(scaled)
        return self._cheapest(
            "project_horizontal",
            (self.point(), self.tangent("xi")),
            [self._tangent_result(form) for form in forms],
            f"Part of a tangent orthogonal to the orbit in the {self._metric} metric.",
        )

    def christoffel_form(self) -> str:
        xi = list(self._vector("xi_"))
        forms = [list(self.geometry.christoffel_form(xi))]
        if self._log_velocities is not None:
            forms += self._log_velocities.christoffel(xi)
        return self._cheapest(
            "christoffel_form",
            (self.point(), self.tangent("xi")),
            [self._tangent_result(form) for form in forms],
            f"Γ(xi, xi) of the {self._metric} metric; a geodesic has γ'' = −Γ(γ', γ').",
        )

    def geodesic(self) -> dict[str, str]:
        """``geodesic``, with what it needs for orders 2 and 3 and, where there is one, the closed form."""
        geodesic = self.geometry.geodesic()
        point, xi = self.point(), self.tangent("xi")
        sources = self._taylor(point, xi)
        if geodesic.closed_form is not None:
            which = "every tangent" if geodesic.kind == "all" else "horizontal tangents"
            time = sp.Symbol(free_name(geodesic.time.name, self.names), real=True)
            sources["_geodesic_exact"] = self._render(
                "_geodesic_exact",
                (point, xi, ScalarArgument("t", time, 1.0, unsqueeze=self.axes)),
                self._from_here(geodesic.explicit(), geodesic, time),
                f"Geodesic from a point along xi in closed form, for {which}.",
            )
        sources["geodesic"] = render_geodesic(
            self._metric, geodesic, point, xi, self.axes, self._log_velocities is not None
        )
        return sources

    def _taylor(self, point: DictArgument, xi: DictArgument) -> dict[str, str]:
        """Whole polynomials of order 2 and 3 where log-velocities make them short, else the derivative of Γ."""
        velocity = list(self._vector("xi_"))
        if self._log_velocities is not None:
            return {
                name: self._cheapest(
                    name,
                    (point, xi),
                    [self._tangent_result(form) for form in self._log_velocities.taylor(velocity, order)],
                    f"Taylor polynomial of order {order} of the geodesic along xi, at t = 1.",
                )
                for order, name in TAYLOR_NAMES.items()
            }
        rate = christoffel_rate(
            self.geometry.christoffel_form(velocity),
            tuple(self._vector("")),
            velocity,
            tuple(self._vector("acceleration_")),
        )
        return {
            "_christoffel_rate": self._render(
                "_christoffel_rate",
                (point, xi, self.tangent("acceleration")),
                self._tangent_result(rate),
                "d/dt Γ(γ', γ') along a curve γ from the point, with γ' = xi and γ'' = acceleration.",
            )
        }

    def _from_here(self, curve: Mapping[sp.Symbol, sp.Expr], geodesic: Geodesic, time: sp.Symbol) -> dict[str, sp.Expr]:
        """The curve with the starting values written as the point's own symbols, the time as one that differs."""
        here = self._here(geodesic.initial) | {geodesic.time: time}
        return {str(symbol): expression.xreplace(here) for symbol, expression in curve.items()}

    def exponential(self) -> str:
        exponential = self.geometry.exponential()
        here = self._here(exponential.initial)
        left = " or ".join(f"{condition.xreplace(here)} < 0" for condition in exponential.positive)
        returns = "dict with the keys and shapes of point"
        returns += ", for horizontal xi" if exponential.kind == "horizontal" else ""
        returns += f"; nan where {left}, as the geodesic leaves the domain before t = 1." if left else "."
        return self._render(
            "exponential",
            (self.point(), self.tangent("xi")),
            {str(symbol): value.xreplace(here) for symbol, value in exponential.image.items()},
            f"Exponential map of the {self._metric} metric: the geodesic along xi at t = 1.",
            returns=returns,
        )

    def logarithm(self) -> str:
        logarithm = self.geometry.logarithm()
        here = self._here(logarithm.initial)
        returns = "dict with the keys and shapes of point: " + (
            "the xi with exponential(point, xi) = other."
            if logarithm.kind == "all"
            else "the horizontal xi for which exponential(point, xi) has the predictor of other, and so lies in its "
            "orbit, up to signs."
        )
        needed = ", ".join(f"{condition.xreplace(here)} > 0" for condition in logarithm.positive)
        returns += f" It exists where {needed}; elsewhere the result means nothing." if needed else ""
        return self._render(
            "logarithm",
            (self.point(), self.tangent("other")),
            {str(symbol): value.xreplace(here) for symbol, value in logarithm.tangent.items()},
            f"Logarithm of the {self._metric} metric: the tangent along which a geodesic leads to other.",
            returns=returns,
        )

    def _here(self, initial: Mapping[sp.Symbol, sp.Symbol]) -> dict[sp.Symbol, sp.Symbol]:
        """Starting values as the point's own symbols."""
        return {start: symbol for symbol, start in initial.items()}

    def check_domain(self) -> dict[str, str]:
        conditions = [factor for factor in self.geometry.domain_conditions if factor.is_zero is not False]
        return render_check_domain(self._metric, conditions, self.point())

    def gauge_correction(self) -> str:
        correction = gauge_correction(self.model, list(self.parametrization.conserved().values()))
        return self._render(
            "gauge_correction",
            (self.point(),),
            correction,
            "Orbit-volume term ½ log det(∇c ∇cᵀ) of isotropic Langevin noise, c the conserved charges.",
            summed=True,
            source="Aladrah et al. 2026 (2601.06597)",
        )

    @property
    def _metric(self) -> str:
        return str(self.geometry.name)

    def _cheapest(
        self,
        name: str,
        arguments: tuple[Argument, ...],
        forms: Sequence[sp.Expr | Mapping[str, sp.Expr]],
        summary: str,
        summed: bool = False,
    ) -> str:
        """The function from that one of several equal forms which passes over its tensors least often."""
        return min((self._render(name, arguments, form, summary, summed) for form in forms), key=count_passes)

    def _render(
        self,
        name: str,
        arguments: tuple[Argument, ...],
        results: sp.Expr | Mapping[str, sp.Expr],
        summary: str,
        summed: bool = False,
        source: str = "",
        returns: str = "",
    ) -> str:
        is_tangent = isinstance(results, Mapping)
        returns = returns or ("dict with the keys and shapes of point." if is_tangent else f"tensor {shape_text(())}.")
        sum_axes = self.axes if summed else 0
        tangents = [a.name for a in arguments if a.name in TANGENTS]
        checks = () if name.startswith("_") else tuple(f"_require_alike(point, {tangent})" for tangent in tangents)
        return TorchFunction(name, arguments, results, summary, sum_axes, returns, source, checks).render()
