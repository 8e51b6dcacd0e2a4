"""Law: generated code computes what its SymPy expressions say."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np
import sympy as sp

from symtheory.codegen.generated_module import GeneratedModule
from symtheory.errors import DeclarationError
from symtheory.geometry import ElementwiseGeometry, MatrixGeometry
from symtheory.geometry.matrix.view import View
from symtheory.matrix_calculus.evaluate import evaluate, evaluate_definitions
from symtheory.matrix_calculus.polynomial import Polynomial, letter
from symtheory.matrix_calculus.trace_form import TraceForm, differential
from symtheory.parametrization import Parametrization
from symtheory.testing.connection_laws import CONNECTION_TOLERANCE
from symtheory.testing.deviation import largest, relative, require, show_sizes
from symtheory.testing.generated_geometry import Metric, geometry_subject, worst
from symtheory.testing.predictor import Arrays


def generated_equals_symbolic(
    P: Parametrization,
    point: Mapping[str, Any],
    xi: Mapping[str, Any],
    zeta: Mapping[str, Any],
    metric: Metric = "mixed",
    module: ModuleType | GeneratedModule | None = None,
    tolerance: float = CONNECTION_TOLERANCE,
) -> None:
    """``inner`` and ``christoffel_form`` agree with ``P.geometry(metric)``, evaluated in float64 without torch.

    P: bound; point, xi, zeta: parameter → array of its shape; module: what is examined, generated where it is None.
    Where bias parameters make up for shifts, the connection is compared in straightened coordinates. The deviation of
    ⟨ξ, ζ⟩ is relative to ‖ξ‖ ‖ζ‖, and that of Γ(ξ, ξ) to its largest entry in each parameter. Raises ``AssertionError``
    naming the function and the parameter; ``CalculusError`` where straightened coordinates are no expression in single
    matrices, ``DeclarationError`` for unbound sizes and a missing entry, ``ShapeError`` for a wrong shape.
    """
    if not isinstance(P, Parametrization):
        raise DeclarationError(f"symbolic expressions are those of a Parametrization, not of a {type(P).__name__}")
    subject = geometry_subject(P if module is None else module, metric)
    theta, first, second = (
        subject.arrays(v, what) for v, what in ((point, "point"), (xi, "tangent"), (zeta, "tangent"))
    )
    form = subject.torch.call("christoffel_form", theta, first)
    geometry = P.geometry(metric)
    if isinstance(geometry, MatrixGeometry):
        inner, pairs = _matrices(geometry, theta, first, second, form)
    elif isinstance(geometry, ElementwiseGeometry):
        inner, pairs = _coordinates(geometry, theta, first, second, form)
    else:
        raise DeclarationError(f"{subject.name} is no expression of coordinates or of matrices")
    found = subject.torch.inner(theta, first, second)
    details = f"{found:.6g} instead of {inner:.6g}"
    off = relative(found - inner, subject.size(theta, first) * subject.size(theta, second))
    require("generated_equals_symbolic", f"inner of {subject.name} is not its expression", off, tolerance, details)
    parts = {name: relative(left - right, largest([left, right])) for name, (left, right) in pairs.items()}
    broken = f"christoffel_form of {subject.name} is not its expression in '{worst(parts)}'"
    require("generated_equals_symbolic", broken, largest(parts.values()), tolerance, f"in parts: {show_sizes(parts)}")


Pairs = dict[str, tuple[np.ndarray, np.ndarray]]
"""Parameter → what was generated and what is expected."""


def _coordinates(
    geometry: ElementwiseGeometry, point: Arrays, xi: Arrays, zeta: Arrays, form: Arrays
) -> tuple[float, Pairs]:
    """Both entry by entry, from the block of one coordinate."""
    velocity = sp.symbols(f"velocity:{len(geometry.coordinates)}", real=True)
    names = [symbol.name for symbol in geometry.coordinates]
    places = [point[name] for name in names]
    block = sp.lambdify(geometry.coordinates, list(geometry.metric), modules="numpy")(*places)
    weights = np.reshape([np.broadcast_to(entry, places[0].shape) for entry in block], (len(names), len(names), -1))
    columns = [np.reshape([tangent[name] for name in names], (len(names), -1)) for tangent in (xi, zeta)]
    inner = float(np.einsum("ijs,is,js->", weights, *columns))
    values = sp.lambdify((*geometry.coordinates, *velocity), geometry.christoffel_form(velocity), modules="numpy")(
        *places, *(xi[name] for name in names)
    )
    return inner, {
        name: (form[name], np.broadcast_to(value, form[name].shape)) for name, value in zip(names, values, strict=True)
    }


def _matrices(geometry: MatrixGeometry, point: Arrays, xi: Arrays, zeta: Arrays, form: Arrays) -> tuple[float, Pairs]:
    """Both matrix by matrix; Γ as J·(what was generated) against Γ of straightened coordinates and their bending."""
    model = geometry.model
    straight: Mapping[str, Polynomial] = model.straightened if geometry.blocks.is_straightened else {}
    symbols, velocity = model.symbols, geometry.velocity
    other = model.tangent("zeta")
    plain = _seen(model.views, symbols, point) | _seen(model.views, velocity, xi) | _seen(model.views, other, zeta)
    known = dict(plain)
    along = {symbol: letter(velocity[name]) for name, symbol in symbols.items()}
    bent: dict[str, np.ndarray] = {}
    for name, value in straight.items():
        slope = differential(value, along)
        known[symbols[name]] = evaluate(value, plain)
        known[velocity[name]] = evaluate(slope, plain)
        known[other[name]] = evaluate(
            differential(value, {symbol: letter(other[key]) for key, symbol in symbols.items()}), plain
        )
        bent[name] = evaluate(differential(slope, along), plain)
    inner_form = geometry.blocks.inner(*({n: letter(s) for n, s in group.items()} for group in (velocity, other)))
    values = evaluate_definitions(geometry.definitions, known)
    inner = sum(float(np.sum(evaluate(TraceForm({word: number}), values))) for word, number in inner_form)
    values = evaluate_definitions(geometry.connection.definitions, known)
    # What was generated, as matrices and pushed to straightened coordinates.
    pushed = _seen(model.views, velocity, form)
    changes = {symbols[name]: letter(velocity[name]) for name in symbols}
    pairs = {}
    for name, value in geometry.connection.values.items():
        found = pushed[velocity[name]]
        if name in straight:
            found = evaluate(differential(straight[name], changes), {**plain, **pushed})
        expected = evaluate(value, values) + bent.get(name, np.zeros(()))
        pairs[name] = (found, np.broadcast_to(expected, found.shape))
    return inner, pairs


def _seen(views: Mapping[str, View], symbols: Mapping[str, Any], arrays: Arrays) -> dict[Any, np.ndarray]:
    """Symbol → the parameter's array as its family of matrices, shape (*copies, rows, columns)."""
    found = {}
    for name, view in views.items():
        split = arrays[name].reshape([int(size) for size in view.layout.sizes])
        ordered = split.transpose(*view.batch, *view.rows, *view.columns)
        copies = [int(view.layout.sizes[place]) for place in view.batch]
        found[symbols[name]] = ordered.reshape(*copies, *(int(size) for size in view.shape))
    return found
