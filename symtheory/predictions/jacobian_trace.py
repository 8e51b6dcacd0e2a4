"""tr E JJᵀ, the mean squared derivative of a predictor by its parameters, in closed form where there is one.

Two cases: a polynomial in matrices that ends in a column of inputs with mean zero and E xxᵀ = 1, if it has inputs at
all; and V σ(W x) with a positively homogeneous σ and standard normal x.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, NamedTuple

import sympy as sp

from symtheory.errors import CalculusError
from symtheory.graph.computation_graph import ComputationGraph
from symtheory.graph.node import Node
from symtheory.graph.operations.homogeneous import PositivelyHomogeneous
from symtheory.graph.operations.leaf import Input, Parameter
from symtheory.graph.operations.matmul import MatMul
from symtheory.graph.operations.power import Power
from symtheory.graph.subgraph import as_matrix
from symtheory.matrix_calculus.polynomial import Letter, Polynomial, Word, collect, diagonal_part, letter, polynomial
from symtheory.matrix_calculus.trace_form import TraceForm, trace

MOMENTS = "inputs have mean zero and second moments E xxᵀ = 1"
NORMAL = "inputs are standard normal"


@dataclass(frozen=True)
class JacobianTrace:
    """terms: coefficient and traces of every summand, which is their product; inputs: what is assumed of the inputs,
    empty where there are none."""

    terms: tuple[tuple[sp.Expr, tuple[TraceForm, ...]], ...]
    inputs: str

    @property
    def expression(self) -> sp.Expr:
        return sp.Add(*(factor * sp.Mul(*(form.expression() for form in forms)) for factor, forms in self.terms))

    def weights(self, parameters: Sequence[str]) -> dict[str, sp.Expr] | None:
        """c where the trace is Σ c_P ‖P‖² over all parameters, c_P > 0; else None."""
        found = dict.fromkeys(parameters, sp.Integer(0))
        for factor, forms in self.terms:
            if len(forms) != 1 or len(forms[0].terms) != 1:
                return None
            ((word, coefficient),) = forms[0].terms.items()
            names = {f.symbol.name for f in word if isinstance(f, Letter)}
            if len(word) != 2 or len(names) != 1 or word[0] != word[1].transpose():
                return None
            found[names.pop()] += factor * coefficient
        return found if all(weight != 0 for weight in found.values()) else None


def jacobian_trace(graph: ComputationGraph) -> JacobianTrace | None:
    """The closed form for a declared graph, or None."""
    found = _two_layers(graph)
    if found is not None:
        return found
    try:
        return _of_polynomial(graph)
    except CalculusError:
        return None


# Polynomials in matrices


class _Place(NamedTuple):
    """One occurrence of a parameter: coefficient · left · (P or Pᵀ) · right."""

    coefficient: sp.Expr
    left: Word
    right: Word
    transposed: bool


def _of_polynomial(graph: ComputationGraph) -> JacobianTrace | None:
    expression = as_matrix(graph.predictor)
    if not isinstance(expression, sp.MatrixExpr):
        return None
    predictor = polynomial(expression)
    leaves = {*graph.parameters, *graph.inputs, *graph.constants}
    if any(symbol.name in leaves for _, coefficient in predictor for symbol in coefficient.free_symbols):
        return None  # numbers among the leaves are in no word
    inputs = set(graph.inputs)
    collected: dict[tuple[TraceForm, ...], sp.Expr] = {}
    for name, shape in graph.parameters.items():
        if len(shape) > 2:
            return None
        places = [place for word, c in predictor for place in _places(word, c, name)]
        for first in places:
            for second in places:
                term = _pair(first, second, predictor.shape, inputs)
                if term is None:
                    return None
                factor, forms = term
                collected[forms] = collected.get(forms, sp.Integer(0)) + factor
    terms = tuple((factor, forms) for forms, factor in collected.items() if factor != 0)
    found = {symbol.name for _, forms in terms for form in forms for symbol in form.symbols}
    return JacobianTrace(terms, MOMENTS if inputs else "") if found <= set(graph.parameters) else None


def _places(word: Word, coefficient: sp.Expr, name: str) -> list[_Place]:
    return [
        _Place(coefficient, word[:place], word[place + 1 :], factor.transposed)
        for place, factor in enumerate(word)
        if isinstance(factor, Letter) and factor.symbol.name == name
    ]


def _pair(
    first: _Place, second: _Place, shape: tuple[Any, Any], inputs: set[str]
) -> tuple[sp.Expr, tuple[TraceForm, ...]] | None:
    """Σ_ij ⟨∂_ij first, ∂_ij second⟩, the mean over inputs: tr(L'ᵀL) tr(RR'ᵀ), or tr(LᵀL' RR'ᵀ) where one of both is
    transposed. None where inputs stand elsewhere than at the end of a product; a mean of one input alone vanishes."""
    ends = [_without_input(place.right, inputs) for place in (first, second)]
    if any(end is None for end in ends) or any(_has(place.left, inputs) for place in (first, second)):
        return None
    (right, drawn, size), (other, drawn_too, _) = ends[0], ends[1]  # type: ignore[misc]
    if drawn != drawn_too:
        return sp.Integer(0), ()
    coefficient = first.coefficient * second.coefficient
    rights = [*right, *_turned(other)]
    if first.transposed == second.transposed:
        factor, forms = _traces([([*_turned(second.left), *first.left], shape[0]), (rights, size or shape[1])])
    else:
        factor, forms = _traces([([*_turned(first.left), *second.left, *rights], shape[0])])
    return coefficient * factor, forms


def _without_input(word: Word, inputs: set[str]) -> tuple[Word, str, Any] | None:
    """The word up to an input that it ends in, the input's name, empty without one, and its size."""
    end, name, size = word, "", None
    if word and isinstance(word[-1], Letter) and word[-1].symbol.name in inputs:
        end, name, (size, columns) = word[:-1], word[-1].symbol.name, word[-1].shape
        if columns != 1:
            return None
    return None if _has(end, inputs) else (end, name, size)


def _has(word: Word, names: set[str]) -> bool:
    return any(not isinstance(factor, Letter) or factor.symbol.name in names for factor in word)


def _turned(word: Sequence[Any]) -> list[Any]:
    return [factor.transpose() for factor in reversed(word)]


def _traces(products: Sequence[tuple[list[Any], Any]]) -> tuple[sp.Expr, tuple[TraceForm, ...]]:
    """A number and traces whose product is Π Tr(word); the identity's is its size."""
    factor: sp.Expr = sp.Integer(1)
    forms = []
    for word, size in products:
        if not word:
            factor *= size
            continue
        form = trace(collect([(tuple(word), sp.S.One)], (word[0].shape[0], word[0].shape[0])))
        forms.append(form)
    return factor, tuple(sorted(forms, key=str))


# Two layers


def _two_layers(graph: ComputationGraph) -> JacobianTrace | None:
    """V σ(W x): with s_j = ‖w_j‖ and moments M of a standard normal number, E σ(z_j)² ∝ M_2p s_j^{2p}, and
    E σ'(z_j)² ‖x‖² ∝ p² s_j^{2p−2} (M_2p + (d − 1) M_{2p−2}), for the part of x across w_j is independent of z_j."""
    parts = _parts(graph.predictor)
    if parts is None or len(graph.parameters) != 2:
        return None
    readout, activation, weight = parts
    homogeneity = _homogeneity(activation)
    if homogeneity is None:
        return None
    power, size = homogeneity
    d = weight.shape[1]
    outputs = readout.shape[0] if len(readout.shape) == 2 else sp.Integer(1)
    w = letter(weight.operation.matrix())
    v = _columns_as_units(readout)
    squares = diagonal_part(w @ w.T)

    def norms(exponent: int) -> Polynomial:
        return reduce(lambda left, right: left @ right, [squares] * exponent)

    of_readout = norms(power - 1) @ w @ w.T if power > 1 else w @ w.T
    of_weight = norms(power - 1) @ v.T @ v if power > 1 else v.T @ v
    second, lower = (sp.factorial2(2 * exponent - 1) for exponent in (power, power - 1))
    terms = (
        (sp.nsimplify(size * second) * outputs, (trace(of_readout),)),
        (sp.expand(size * power**2 * (second + (d - 1) * lower)), (trace(of_weight),)),
    )
    return JacobianTrace(terms, NORMAL)


def _parts(predictor: Node) -> tuple[Node, Node, Node] | None:
    """Readout, activation and first weight of V σ(W x); None for another graph."""
    if not isinstance(predictor.operation, MatMul):
        return None
    readout, activation = predictor.operands
    if not isinstance(readout.operation, Parameter) or len(activation.operands) != 1:
        return None
    inner = activation.operands[0]
    if not isinstance(inner.operation, MatMul):
        return None
    weight, source = inner.operands
    fits = isinstance(weight.operation, Parameter) and isinstance(source.operation, Input)
    return (readout, activation, weight) if fits and len(source.shape) == 1 and len(weight.shape) == 2 else None


def _columns_as_units(readout: Node) -> Polynomial:
    """The readout as a matrix (outputs, units)."""
    matrix = letter(readout.operation.matrix())
    return matrix if len(readout.shape) == 2 else matrix.T


def _homogeneity(activation: Node) -> tuple[int, sp.Expr] | None:
    """p ≥ 1 and ½ (σ(1)² + σ(−1)²) where σ(cz) = c^p σ(z) for c > 0; None for another operation."""
    operation = activation.operation
    if isinstance(operation, PositivelyHomogeneous):
        power = 1
    elif isinstance(operation, Power) and operation.exponent.is_Integer and operation.exponent >= 1:
        power = int(operation.exponent)
    else:
        return None
    sides = [operation.scalar(sp.Integer(sign)) for sign in (1, -1)]
    return power, sp.Add(*(side**2 for side in sides)) / 2
