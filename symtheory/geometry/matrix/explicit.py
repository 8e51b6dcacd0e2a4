"""A geometry of matrices in explicit components, for small sizes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import sympy as sp

from symtheory.errors import MetricError
from symtheory.geometry.explicit_geometry import ExplicitGeometry
from symtheory.geometry.explicit_metric import explicit_metric
from symtheory.geometry.matrix.block_metric import BlockMetric
from symtheory.geometry.matrix.invariance import shift_field
from symtheory.geometry.matrix.model import MatrixModel
from symtheory.matrix_calculus.polynomial import DiagonalPart, Polynomial, letter
from symtheory.matrix_calculus.symbols import CenteringSymbol, DiagonalSymbol, SkewSymbol
from symtheory.symmetry.translation import Translation


def explicit_geometry(metric: BlockMetric) -> ExplicitGeometry:
    """The metric and the group's fields in explicit components, in straightened coordinates where the metric is.

    Coordinates are ordered parameter by parameter, row by row. Raises ``MetricError`` for sizes that are not bound, and
    for parameters that are families of matrices, one for every copy.
    """
    model = metric.model
    free = sorted({s for symbol in model.symbols.values() for z in symbol.shape for s in z.free_symbols}, key=str)
    if free:
        raise MetricError(f"explicit components need sizes in numbers: bind({', '.join(f'{s}=…' for s in free)}) first")
    copied = next((name for name, view in model.views.items() if view.batch), None)
    if copied is not None:
        raise MetricError(f"'{copied}' has a matrix for every copy: declare one copy for explicit components")
    xi = model.tangent("xi")
    tangent = {name: letter(symbol) for name, symbol in xi.items()}
    form = metric.definitions.expression(metric.inner(tangent, tangent))
    matrix, coordinates = explicit_metric(form, list(model.symbols.values()), list(xi.values()))
    return ExplicitGeometry(matrix, coordinates, tuple(_fields(model, coordinates)))


def _fields(model: MatrixModel, coordinates: tuple[sp.Symbol, ...]) -> Iterator[list[sp.Expr]]:
    """The components of the fields of a basis of every factor's Lie algebra."""
    place, matrices = 0, {}
    for name, symbol in model.symbols.items():
        rows, columns = map(int, symbol.shape)
        matrices[name] = sp.Matrix(rows, columns, coordinates[place : place + rows * columns])
        place += rows * columns
    values = {model.symbols[name]: matrix for name, matrix in matrices.items()}
    point = {name: letter(symbol) for name, symbol in model.symbols.items()}
    for factor in model.factors.values():
        if isinstance(factor, Translation):
            field = shift_field(model, factor)
            element: Any = sp.MatrixSymbol(f"t_{factor.name}", *model.views[factor.parameter].shape)
        else:
            field, element = model.field(factor, point), model.element(factor)
        for unit in _basis(element):
            changes = {name: _value(change, {**values, element: unit}) for name, change in field.items()}
            yield [entry for name, matrix in matrices.items() for entry in changes.get(name, sp.zeros(*matrix.shape))]


def _basis(element: Any) -> Iterator[Any]:
    if not isinstance(element, sp.MatrixSymbol):
        yield sp.S.One
        return
    rows, columns = map(int, element.shape)
    for i in range(rows):
        for j in range(columns):
            unit = sp.zeros(rows, columns)
            if isinstance(element, DiagonalSymbol):
                if i != j:
                    continue
                unit[i, i] = 1
            elif isinstance(element, SkewSymbol):
                if i >= j:
                    continue
                unit[i, j], unit[j, i] = 1, -1
            else:
                unit[i, j] = 1
            yield unit


def _value(of: Polynomial, values: Mapping[Any, Any]) -> sp.Matrix:
    """A polynomial at explicit matrices; fields contain no inverses."""
    total = sp.zeros(*(int(size) for size in of.shape))
    for word, coefficient in of:
        product = sp.eye(int(of.shape[0])) * coefficient.xreplace(values)
        for factor in word:
            product = product * _factor(factor, values)
        total += product
    return total


def _factor(factor: Any, values: Mapping[Any, Any]) -> sp.Matrix:
    assert not isinstance(factor, DiagonalPart)  # fields are linear in the point and in the element
    if isinstance(factor.symbol, CenteringSymbol):
        return sp.Matrix(factor.symbol.value().as_explicit())
    value = values[factor.symbol]
    return value.T if factor.transposed else value
