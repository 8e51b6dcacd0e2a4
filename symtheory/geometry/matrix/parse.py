"""A user's quadratic trace form, read as a metric on matrices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sympy as sp

from symtheory.errors import CalculusError, MetricError
from symtheory.geometry.matrix.block_metric import Block, BlockMetric, Term
from symtheory.geometry.matrix.model import MatrixModel
from symtheory.matrix_calculus.definitions import Definitions
from symtheory.matrix_calculus.polynomial import DiagonalPart, Polynomial, collect, letter, polynomial
from symtheory.matrix_calculus.trace_form import TraceForm, gradient, trace
from symtheory.matrix_calculus.two_sided import two_sided


def parse_form(form: sp.Expr, velocities: Mapping[str, sp.MatrixSymbol], name: str, model: MatrixModel) -> BlockMetric:
    """⟨ξ, ξ⟩ as products on either side of every parameter's velocity; inverses get names.

    Raises ``MetricError``, saying what is wrong, where the form is no such metric.
    """
    _check_names(form, velocities, name, model)
    taken = {*model.views, *(str(v) for v in velocities.values())}
    reader = _Reader(Definitions(taken=taken), set(velocities.values()))
    try:
        energy = reader.form(form) * sp.S.Half
        blocks = {
            parameter: _block(energy, parameter, velocities, reader.definitions, name) for parameter in model.views
        }
    except CalculusError as error:
        raise MetricError(f"the metric {name!r} cannot be read: {error}") from error
    return BlockMetric(name, model, reader.definitions, blocks)


def _check_names(form: sp.Expr, velocities: Mapping[str, Any], name: str, model: MatrixModel) -> None:
    missing = [parameter for parameter in model.views if parameter not in velocities]
    if missing:
        raise MetricError(f"the metric {name!r} has no velocity for {', '.join(missing)}: a metric measures them all")
    for symbol in form.atoms(sp.MatrixSymbol):
        if symbol in velocities.values():
            continue
        if symbol.name not in model.symbols:
            raise MetricError(f"'{symbol}' in the metric {name!r} is no parameter: these are {', '.join(model.views)}")
        if tuple(symbol.shape) != tuple(model.symbols[symbol.name].shape):
            shape = "×".join(map(str, model.symbols[symbol.name].shape))
            raise MetricError(f"'{symbol}' in the metric {name!r} has another shape than the parameter, {shape}")


def _block(
    energy: TraceForm, parameter: str, velocities: Mapping[str, Any], definitions: Definitions, name: str
) -> Block:
    own = velocities[parameter]
    lowered = gradient(energy, own)
    others = lowered.symbols & (set(velocities.values()) - {own})
    if others:
        raise MetricError(
            f"the metric {name!r} couples '{parameter}' with {', '.join(map(str, others))}: not supported"
        )
    if not lowered:
        raise MetricError(f"the metric {name!r} is zero on '{parameter}': add a term, such as its squared norm")
    operator = two_sided(lowered, own, definitions)
    sides = [*operator.straight, *operator.crossed]
    if operator.crossed or not all(left.is_symmetric and right.is_symmetric for left, right in sides):
        raise MetricError(f"the metric {name!r} on '{parameter}' is not a sum of Tr(A ξ B ξᵀ) with symmetric A and B")
    return Block(tuple(_term(left, right, definitions) for left, right in operator.straight))


def _term(left: Polynomial, right: Polynomial, definitions: Definitions) -> Term:
    """One word on either side: sums and diagonal parts get a name."""
    scale = sp.S.One
    sides = []
    for side in (left, right):
        parts = [factor for word, _ in side for factor in word if isinstance(factor, DiagonalPart)]
        if len(side.terms) > 1 or parts:
            diagonal = all(word and all(factor.is_diagonal for factor in word) for word, _ in side)
            side = letter(definitions.matrix("weight", side, diagonal=diagonal))
        ((word, coefficient),) = side.terms.items()
        scale *= coefficient
        sides.append(collect([(word, sp.S.One)], side.shape))
    return Term(sides[0], sides[1], scale)


class _Reader:
    """Reads expressions; what is inverted, and every trace that does not contain a velocity, gets a name."""

    def __init__(self, definitions: Definitions, velocities: set[Any]) -> None:
        self.definitions = definitions
        self.velocities = velocities
        self._named: dict[Any, Any] = {}

    def form(self, form: sp.Expr) -> TraceForm:
        """A sum of multiples of traces; the multiples may be powers of traces of the point."""
        total = TraceForm({})
        for term in sp.Add.make_args(sp.expand(form)):
            factors = sp.Mul.make_args(term)
            moving = [f for f in factors if isinstance(f, sp.Trace) and f.atoms(sp.MatrixSymbol) & self.velocities]
            if len(moving) != 1:
                raise CalculusError(f"{term} is not a multiple of one trace with velocities")
            coefficient = sp.Mul(*(self._number(factor) for factor in factors if factor is not moving[0]))
            total = total + trace(polynomial(self._matrix(moving[0].arg))) * coefficient
        return total

    def _number(self, factor: sp.Expr) -> sp.Expr:
        traces = {
            t: self._once(t, lambda t=t: self.definitions.scalar("trace", trace(polynomial(self._matrix(t.arg)))))
            for t in factor.atoms(sp.Trace)
        }
        return factor.xreplace(traces)

    def _matrix(self, expression: Any) -> Any:
        if isinstance(expression, sp.Inverse) or (isinstance(expression, sp.MatPow) and expression.exp == -1):
            inner = self._matrix(expression.args[0])
            if isinstance(inner, sp.MatrixSymbol):
                return sp.Inverse(inner)
            return sp.Inverse(self._once(expression, lambda: self._weight(polynomial(inner), inner)))
        if isinstance(expression, sp.MatrixSymbol) or not expression.args:
            return expression
        args = [self._matrix(a) if isinstance(a, sp.MatrixExpr) else a for a in expression.args]
        return expression.func(*args)

    def _weight(self, value: Polynomial, expression: Any) -> Any:
        return self.definitions.matrix("weight", value, diagonal=isinstance(expression, sp.DiagonalMatrix))

    def _once(self, key: Any, make: Any) -> Any:
        if key not in self._named:
            self._named[key] = make()
        return self._named[key]
