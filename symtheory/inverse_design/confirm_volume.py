"""The forward road for orbit volumes: Gram determinants of the rotations' fields and of the predictor's gradients.

They are taken from the declaration in explicit components at small sizes, at random points.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import sympy as sp

from symtheory.errors import DerivationError
from symtheory.inverse_design.design_record import Design
from symtheory.inverse_design.target import SIZE
from symtheory.lazy_module import LazyModule
from symtheory.parametrization import Parametrization
from symtheory.predictions.symbols import PREDICTOR

if TYPE_CHECKING:
    import numpy as np
else:
    np = LazyModule("numpy")

POINTS = 12
CLOSE = 1e-9  # error of a difference of logarithms between two points, of condition 1e3 at most
INVARIANT = 1e-10  # derivative of w along a rotation, relative to the gradient
GRAM_SIZE = 2


def confirm_radius(design: Design) -> str:
    """½ log det of the Gram matrix of the rotations' fields is −R(w) up to a constant, and rotations keep w."""
    declared = Parametrization(design.predictor, name="designed")
    bound = declared.bind(**{str(size): 1 for size in declared.free_sizes})
    output = sp.sympify(bound.components().ravel()[0])
    theta = sorted(output.free_symbols, key=str)
    value, gradient = (
        sp.lambdify([theta], expression, "numpy")
        for expression in (output, [sp.diff(output, symbol) for symbol in theta])
    )
    logarithms, penalties = [], []
    penalty = sp.lambdify(PREDICTOR, design.target.expression, "numpy")
    for point in np.random.default_rng(21).normal(size=(POINTS, len(theta))):
        fields = _fields(point[None, :])
        _require_invariance(np.asarray(gradient(point), dtype=float)[None, :], fields)
        logarithms.append(_log_volume(fields, len(theta) - 1))
        penalties.append(float(penalty(float(value(point)))))
    _require_agreement(logarithms, penalties)
    return f"rotations keep w, and the Gram determinant of their fields is exp(−R), at {POINTS} points to {CLOSE:g}"


def confirm_gram(design: Design) -> str:
    """The volume of the orbit over the volume element of W is exp(−R) up to a constant."""
    declared = Parametrization(design.predictor, name="designed")
    bound = declared.bind(**{str(size): GRAM_SIZE for size in declared.free_sizes})
    size = int(bound.predictor.shape[0])
    ((_, columns),) = bound.parameters.values()
    symbols = sp.Matrix(size, int(columns), lambda i, j: sp.Symbol(f"t{i}_{j}", real=True))
    outputs = sp.Matrix(list(_upper(bound.components(), size)))
    named = dict(zip(sorted(outputs.free_symbols, key=_place), symbols, strict=True))
    outputs = outputs.subs(named)
    theta = list(symbols)
    value, jacobian = (
        sp.lambdify([theta], expression.tolist(), "numpy") for expression in (outputs, outputs.jacobian(theta))
    )
    penalty = sp.lambdify(SIZE, design.target.positive, "numpy")
    logarithms, penalties = [], []
    for point in np.random.default_rng(22).normal(size=(POINTS, size, int(columns))):
        fields = _fields(point)
        slopes = np.asarray(jacobian(point.ravel()), dtype=float)
        _require_invariance(slopes, fields)
        orbit = _log_volume(fields, len(theta) - len(outputs))
        element = np.linalg.slogdet(slopes @ slopes.T)[1] / 2
        logarithms.append(float(orbit - element))
        w = np.zeros((size, size))
        w[np.triu_indices(size)] = np.asarray(value(point.ravel()), dtype=float).ravel()
        penalties.append(float(np.sum(penalty(np.linalg.eigvalsh(w, UPLO="U")))))
    _require_agreement(logarithms, penalties)
    return f"volume of the orbit over the volume element of W is exp(−R), at {POINTS} points to {CLOSE:g}, m = {size}"


def _upper(components: Any, size: int) -> Any:
    return components[np.triu_indices(size)]


def _place(symbol: sp.Symbol) -> tuple[int, ...]:
    """Row and column from the name of an entry, u_1_2 or u[1, 2]."""
    return tuple(int(word) for word in "".join(c if c.isdigit() else " " for c in str(symbol)).split())


def _fields(point: Any) -> Any:
    """Fields of the rotations of the columns of a point (m, n): (m n, n (n − 1)/2)."""
    rows, columns = point.shape
    fields = []
    for i, j in combinations(range(columns), 2):
        field = np.zeros((rows, columns))
        field[:, i], field[:, j] = point[:, j], -point[:, i]
        fields.append(field.ravel())
    return np.stack(fields, axis=1)


def _log_volume(fields: Any, dimension: int) -> float:
    """½ log of the product of the largest `dimension` eigenvalues of the Gram matrix; the others belong to rotations
    that keep the point."""
    return float(np.log(np.linalg.svd(fields, compute_uv=False)[:dimension]).sum())


def _require_invariance(gradients: Any, fields: Any) -> None:
    moved = np.abs(gradients @ fields).max()
    if not moved <= INVARIANT * np.abs(gradients).max() * np.abs(fields).max():
        raise DerivationError("w changes along a rotation of the parameters: their orbit is no fibre")


def _require_agreement(logarithms: list[float], penalties: list[float]) -> None:
    sums = np.asarray(logarithms) + np.asarray(penalties)
    worst = float(np.abs(sums - sums[0]).max())
    if not worst <= CLOSE:
        raise DerivationError(f"the volume of the orbits of this declaration is not exp(−R): it is off by {worst:.3g}")
