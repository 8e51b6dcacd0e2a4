"""The torch functions of an elementwise geometry: what ``generate`` puts into a module for one metric."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from textwrap import dedent

import sympy as sp

from symtheory.codegen.arguments import Argument, DictArgument, ScalarArgument
from symtheory.codegen.docstring import shape_text
from symtheory.codegen.function import TorchFunction
from symtheory.errors import DerivationError
from symtheory.generation.domain_function import render_check_domain
from symtheory.generation.geodesic_function import christoffel_rate, render_geodesic
from symtheory.geometry import ElementwiseGeometry, Geodesic
from symtheory.graph.elementwise import ElementwiseModel
from symtheory.graph.symbol_names import free_name
from symtheory.parametrization import Parametrization
from symtheory.predictions.gauge_correction import gauge_correction
from symtheory.symmetry.element_names import element_names


@dataclass(frozen=True)
class GeometryFunctions:
    """Sources of ``inner`` … ``gauge_correction`` for one declaration in one metric."""

    parametrization: Parametrization
    geometry: ElementwiseGeometry

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

    def _tangent_result(self, vector: sp.Matrix) -> dict[str, sp.Expr]:
        return dict(zip(self.names, vector, strict=True))

    def inner(self) -> str:
        form = (self._vector("xi_").T * self.geometry.metric * self._vector("zeta_"))[0]
        arguments = (self.point(), self.tangent("xi"), self.tangent("zeta"))
        return self._render("inner", arguments, form, f"Inner product <xi, zeta> in the {self._metric} metric.", True)

    def norm(self) -> str:
        return dedent(
            f'''\
            def norm(point: dict[str, Tensor], xi: dict[str, Tensor]) -> Tensor:
                """Length of a tangent, sqrt(inner(point, xi, xi)), in the {self._metric} metric; shape (*batch)."""
                return inner(point, xi, xi).sqrt()
            '''
        )

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
        projected = self.geometry.horizontal_projection * self._vector("xi_")
        return self._render(
            "project_horizontal",
            (self.point(), self.tangent("xi")),
            self._tangent_result(projected),
            f"Part of a tangent orthogonal to the orbit in the {self._metric} metric.",
        )

    def christoffel_form(self) -> str:
        form = sp.Matrix(list(self.geometry.christoffel_form(tuple(self._vector("xi_")))))
        return self._render(
            "christoffel_form",
            (self.point(), self.tangent("xi")),
            self._tangent_result(form),
            f"Γ(xi, xi) of the {self._metric} metric; a geodesic has γ'' = −Γ(γ', γ').",
        )

    def geodesic(self) -> dict[str, str]:
        """``geodesic``, with what it needs for order 3 and, where there is one, the closed form."""
        geodesic = self.geometry.geodesic()
        point, xi, acceleration = self.point(), self.tangent("xi"), self.tangent("acceleration")
        velocity = tuple(self._vector("xi_"))
        rate = christoffel_rate(
            self.geometry.christoffel_form(velocity),
            tuple(self._vector("")),
            velocity,
            tuple(self._vector("acceleration_")),
        )
        sources = {
            "_christoffel_rate": self._render(
                "_christoffel_rate",
                (point, xi, acceleration),
                self._tangent_result(sp.Matrix(rate)),
                "d/dt Γ(γ', γ') along a curve γ from the point, with γ' = xi and γ'' = acceleration.",
            )
        }
        if geodesic.closed_form is not None:
            which = "every tangent" if geodesic.kind == "all" else "horizontal tangents"
            time = sp.Symbol(free_name(geodesic.time.name, self.names), real=True)
            sources["_geodesic_exact"] = self._render(
                "_geodesic_exact",
                (point, xi, ScalarArgument("t", time, 1.0, unsqueeze=self.axes)),
                self._from_here(geodesic.explicit(), geodesic, time),
                f"Geodesic from a point along xi in closed form, for {which}.",
            )
        sources["geodesic"] = render_geodesic(self._metric, geodesic, point, xi, self.axes)
        return sources

    def _from_here(self, curve: Mapping[sp.Symbol, sp.Expr], geodesic: Geodesic, time: sp.Symbol) -> dict[str, sp.Expr]:
        """The curve with the starting values written as the point's own symbols, the time as one that differs."""
        here = {initial: symbol for symbol, initial in geodesic.initial.items()} | {geodesic.time: time}
        return {str(symbol): expression.xreplace(here) for symbol, expression in curve.items()}

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

    def _render(
        self,
        name: str,
        arguments: tuple[Argument, ...],
        results: sp.Expr | Mapping[str, sp.Expr],
        summary: str,
        summed: bool = False,
        source: str = "",
    ) -> str:
        is_tangent = isinstance(results, Mapping)
        returns = "dict with the keys and shapes of point." if is_tangent else f"tensor {shape_text(())}."
        sum_axes = self.axes if summed else 0
        return TorchFunction(name, arguments, results, summary, sum_axes, returns, source).render()
