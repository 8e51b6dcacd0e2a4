"""Laws of functions on the quotient: what the metric makes of one is one, and ∇²f(γ', γ') is f'' along a geodesic."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from symtheory.testing.deviation import TOLERANCE, relative, require
from symtheory.testing.generated_geometry import Geometry, GeometrySubject, Metric, data_for, geometry_subject, paired
from symtheory.testing.predictor import Arrays
from symtheory.testing.torch_function import TorchFunctional


def gradient_length_is_constant_on_orbits(
    geometry: Geometry,
    point: Mapping[str, Any],
    g: Mapping[str, Any],
    data: Mapping[str, Any] | None = None,
    seed: int = 0,
    metric: Metric = "mixed",
    tolerance: float = TOLERANCE,
) -> None:
    """√⟨∇f, ∇f⟩ of the Riemannian gradient agrees at θ and at g·θ.

    f is a random linear functional of the predictor plus half the square of another. g: factor name → element, as
    ``group_elements`` draws them, each of which then acts alone, or all that the module's ``act`` takes where a module
    is given; data: input or constant → array (None: standard ones); seed: of the functionals. The gradient is raised by
    ``sharp``, or by the metric's matrix in a module without it. With an element of condition κ rounding grows like κ²,
    so that one of 1e3 needs about 1e-7. Raises ``AssertionError`` naming the factor, with both values; ``DomainError``
    where something is not finite, ``DeclarationError`` where the module has no ``act``, for unbound sizes and a missing
    entry, ``ShapeError`` for a wrong shape.
    """
    subject = _subject(geometry, metric)

    def length(functional: TorchFunctional, theta: Arrays) -> float:
        return _length(subject, theta, subject.finite(functional.gradient(theta), "the gradient"))

    law = "gradient_length_is_constant_on_orbits"
    _require_constant(law, "the length of a gradient", length, geometry, subject, point, g, data, seed, tolerance)


def hessian_trace_is_constant_on_orbits(
    geometry: Geometry,
    point: Mapping[str, Any],
    g: Mapping[str, Any],
    data: Mapping[str, Any] | None = None,
    seed: int = 0,
    metric: Metric = "mixed",
    tolerance: float = TOLERANCE,
) -> None:
    """``hessian_trace``, the trace of a function's Hessian on the quotient, agrees at θ and at g·θ.

    As ``gradient_length_is_constant_on_orbits``, for models with few parameters. With an element of condition κ
    rounding grows like κ⁴, so that one of 1e3 needs about 1e-3. Raises ``DeclarationError`` where the module has no
    ``hessian_trace``, and as the other law.
    """
    subject = _subject(geometry, metric, "hessian_trace")

    def trace(functional: TorchFunctional, theta: Arrays) -> float:
        return functional.hessian_trace(theta)

    law = "hessian_trace_is_constant_on_orbits"
    _require_constant(law, "the trace of a Hessian", trace, geometry, subject, point, g, data, seed, tolerance)


def hessian_follows_geodesics(
    geometry: Geometry,
    point: Mapping[str, Any],
    xi: Mapping[str, Any],
    data: Mapping[str, Any] | None = None,
    seed: int = 0,
    metric: Metric = "mixed",
    tolerance: float = TOLERANCE,
) -> None:
    """``riemannian_hessian(f, θ, ξ, ξ)`` is d²/dt² f(γ(t)) at t = 0 along ``geodesic(θ, ξ, t)`` of order 2.

    f and the arguments are those of ``gradient_length_is_constant_on_orbits``. The deviation is relative to the larger
    of both values, of f and of its first derivative along ξ. Raises ``AssertionError`` with both values;
    ``DeclarationError`` where the module has no ``riemannian_hessian``, and as the other laws.
    """
    subject = geometry_subject(geometry, metric)
    subject.require("geodesic", "riemannian_hessian")
    theta, tangent = subject.arrays(point, "point"), subject.arrays(xi, "tangent")
    functional = _functional(geometry, subject, theta, data, seed)
    first, second = functional.along_geodesic(theta, tangent)
    found = functional.hessian(theta, tangent, tangent)
    subject.finite(np.array([first, second, found]), "the Hessian")
    off = relative(found - second, max(abs(found), abs(second), abs(first), abs(functional.value(theta))))
    broken = f"riemannian_hessian of {subject.name} is not the second derivative along a geodesic"
    require("hessian_follows_geodesics", broken, off, tolerance, f"{found:.6g} instead of {second:.6g}")


def _subject(geometry: Geometry, metric: Metric, *functions: str) -> GeometrySubject:
    subject = geometry_subject(geometry, metric)
    subject.require("act", "inner", *functions)
    return subject


def _require_constant(
    law: str,
    what: str,
    quantity: Callable[[TorchFunctional, Arrays], float],
    geometry: Geometry,
    subject: GeometrySubject,
    point: Mapping[str, Any],
    g: Mapping[str, Any],
    data: Mapping[str, Any] | None,
    seed: int,
    tolerance: float,
) -> None:
    theta = subject.arrays(point, "point")
    functional = _functional(geometry, subject, theta, data, seed)
    here = float(subject.finite(np.asarray(quantity(functional, theta)), what))
    for name, element in subject.one_by_one(g):
        (moved,) = subject.torch.moved(theta, element, [])
        there = float(subject.finite(np.asarray(quantity(functional, moved)), what))
        off = relative(there - here, max(abs(here), abs(functional.value(theta))))
        details = f"it was {here:.6g} and became {there:.6g}"
        require(law, f"factor '{name}' changes {what} in {subject.name}", off, tolerance, details)


def _functional(
    geometry: Geometry, subject: GeometrySubject, theta: Arrays, data: Mapping[str, Any] | None, seed: int
) -> TorchFunctional:
    sample = data_for(geometry, subject, data)
    value = subject.finite(np.asarray(subject.torch.call("predictor", theta, **sample)), "the predictor")
    rng = np.random.default_rng(seed)
    linear, quadratic = (np.asarray(rng.standard_normal(value.shape)) for _ in range(2))
    return subject.torch.functional(sample, linear, quadratic)


def _length(subject: GeometrySubject, theta: Arrays, gradient: Arrays) -> float:
    if hasattr(subject.torch.module, "sharp"):
        raised = subject.torch.call("sharp", theta, gradient)
        return float(np.sqrt(np.abs(paired(gradient, raised))))
    flat = np.concatenate([gradient[name].ravel() for name in theta])
    return float(np.sqrt(np.abs(flat @ np.linalg.solve(subject.torch.metric_matrix(theta), flat))))
