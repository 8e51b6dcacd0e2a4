"""Where a metric is defined and positive, and the check of a point against it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sympy as sp

from symtheory.errors import DomainError


def domain_conditions(metric: sp.MatrixBase, coordinates: Sequence[sp.Symbol]) -> tuple[sp.Expr, ...]:
    """Expressions that must not vanish: the factors of the denominators and of the determinant of a k×k metric.

    A metric that is singular everywhere contributes its denominators alone.
    """
    entries = [sp.fraction(sp.together(entry)) for entry in metric]
    numerator, denominator = sp.fraction(sp.together(sp.factor(metric.det(method="berkowitz"))))
    moving = set(coordinates)
    found: dict[sp.Expr, None] = {}
    for expression in [denominator for _, denominator in entries] + [denominator, numerator]:
        if expression == 0:
            continue
        for factor, _ in sp.factor_list(expression)[1]:
            if factor.free_symbols & moving:
                found.setdefault(factor)
    return tuple(sorted(found, key=sp.default_sort_key))


def check_domain(
    conditions: Sequence[sp.Expr], coordinates: Sequence[sp.Symbol], point: Mapping[str, Any], metric: str
) -> None:
    """Raise DomainError when a condition vanishes at a point.

    Args:
        point: for every coordinate, by name, a number or a (nested) sequence of numbers, all of one shape.
        metric: the name of the metric, for the message.
    """
    missing = [str(symbol) for symbol in coordinates if str(symbol) not in point]
    if missing:
        raise DomainError(f"the point has no value for {', '.join(missing)}: pass every parameter")
    columns = [list(_flatten(point[str(symbol)])) for symbol in coordinates]
    if len({len(column) for column in columns}) != 1:
        raise DomainError("the parameters of the point differ in shape: give them the same shape")
    evaluators = [sp.lambdify(coordinates, condition, modules="math") for condition in conditions]
    for entry, values in enumerate(zip(*columns, strict=True)):
        for condition, evaluate in zip(conditions, evaluators, strict=True):
            if evaluate(*values) == 0:
                where = f" in entry {entry}" if len(columns[0]) > 1 else ""
                raise DomainError(
                    f"{condition} = 0{where}, outside the domain of the {metric} metric: "
                    f"move the point to where {condition} is not zero"
                )


def _flatten(value: Any) -> Iterator[float]:
    nested = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(nested, Sequence):
        for item in nested:
            yield from _flatten(item)
    else:
        yield float(nested)
