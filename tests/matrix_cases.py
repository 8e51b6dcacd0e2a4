"""Graphs of matrices at small sizes, and slow oracles for their geometry: plain NumPy on whole vectors of parameters.

Derivatives are complex steps: f(x + iε v) has the imaginary part ε Df(x) v, with no difference that could cancel, so
that they are as exact as f itself. A point or a tangent is one vector of all parameters in straightened coordinates;
further axes in front of it are a stack.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import combinations
from typing import Any

import numpy as np
import sympy as sp
from array_cases import Arrays, arrays, fixed_layer, heads_with_an_axis, rows_against_rows

import symtheory as st
from symtheory import catalog
from symtheory.geometry import MatrixGeometry
from symtheory.geometry.matrix.block_metric import BlockMetric
from symtheory.geometry.matrix.connection import ChristoffelForm
from symtheory.geometry.matrix.model import MatrixModel
from symtheory.geometry.matrix.vertical import VerticalPart
from symtheory.geometry.matrix.view import View
from symtheory.graph.subgraph import evaluate as evaluate_node
from symtheory.matrix_calculus.definitions import Definitions
from symtheory.matrix_calculus.evaluate import evaluate, evaluate_definitions
from symtheory.matrix_calculus.polynomial import Polynomial, letter
from symtheory.matrix_calculus.symbols import CenteringSymbol
from symtheory.matrix_calculus.trace_form import TraceForm
from symtheory.matrix_calculus.two_sided import TwoSidedOperator
from symtheory.symmetry.edge_group import EdgeGroup
from symtheory.symmetry.factor import Factor
from symtheory.symmetry.translation import Translation

STEP = 1e-30

# -- SymPy expressions at arrays ---------------------------------------------------------------------------------------


def number(expression: Any, values: Mapping[Any, Any]) -> Any:
    """A SymPy expression at arrays (*stack, rows, columns) for matrices and (*stack) for scalars; may be complex."""
    if expression in values:
        return np.asarray(values[expression])
    for kind, rule in RULES.items():
        if isinstance(expression, kind):
            return rule(expression, values)
    raise TypeError(f"no value for {type(expression).__name__}")


def _product(expression: Any, values: Mapping[Any, Any]) -> np.ndarray:
    result, factor = None, np.ones(())
    for argument in expression.args:
        value = number(argument, values)
        if not argument.is_Matrix:
            factor = factor * value
        else:
            result = value if result is None else result @ value
    return np.asarray(factor[..., None, None] * result)


def _power(expression: Any, values: Mapping[Any, Any]) -> np.ndarray:
    base, exponent = number(expression.base, values), int(expression.exp)
    return np.linalg.matrix_power(np.linalg.inv(base) if exponent < 0 else base, abs(exponent))


def _sum(expression: Any, values: Mapping[Any, Any]) -> Any:
    terms = [number(argument, values) for argument in expression.args]
    return sum(terms[1:], terms[0])


def _size(size: Any, values: Mapping[Any, Any]) -> int:
    return int(sp.sympify(size).xreplace({key: value for key, value in values.items() if isinstance(value, int)}))


def _shape(expression: Any, values: Mapping[Any, Any]) -> tuple[int, ...]:
    return tuple(_size(size, values) for size in expression.shape)


def _centring(expression: Any, values: Mapping[Any, Any]) -> np.ndarray:
    size = _size(expression.shape[0], values)
    return np.eye(size) - np.full((size, size), 1 / size)


RULES: dict[type, Callable[[Any, Mapping[Any, Any]], Any]] = {
    CenteringSymbol: _centring,
    sp.MatAdd: _sum,
    sp.MatMul: _product,
    sp.MatPow: _power,
    sp.Transpose: lambda e, values: number(e.arg, values).swapaxes(-1, -2),
    sp.DiagonalMatrix: lambda e, values: number(e.arg, values) * np.eye(_shape(e, values)[0]),
    sp.Trace: lambda e, values: np.trace(number(e.arg, values), axis1=-2, axis2=-1),
    sp.Identity: lambda e, values: np.eye(_shape(e, values)[0]),
    sp.ZeroMatrix: lambda e, values: np.zeros(_shape(e, values)),
    sp.matrices.expressions.special.OneMatrix: lambda e, values: np.ones(_shape(e, values)),
    sp.Add: _sum,
    sp.Mul: lambda e, values: np.prod(np.stack(np.broadcast_arrays(*(number(a, values) for a in e.args))), axis=0),
    sp.Pow: lambda e, values: number(e.base, values) ** float(e.exp),
    sp.Number: lambda e, values: np.asarray(float(e)),
}

# -- Cases -------------------------------------------------------------------------------------------------------------


def chain(layers: int) -> Callable[[], st.Parametrization]:
    """W_L … W_1 without biases; hidden widths are alike, since Gram matrices run through all layers to either end."""

    def make() -> st.Parametrization:
        outer_first = [4, *[2] * (layers - 1), 5]
        names = [f"W{layer}" for layer in range(layers, 0, -1)]
        product = None
        for name, rows, columns in zip(names, outer_first[:-1], outer_first[1:], strict=True):
            factor = st.param(name, rows, columns)
            product = factor if product is None else product @ factor
        return st.Parametrization(product, name=f"chain{layers}")

    return make


def heads_without_biases() -> st.Parametrization:
    """Attention with an axis of heads in front of every weight."""
    n, d, heads, h = st.dims("n d heads h")
    X = st.input("X", n, d)
    Wq, Wk, Wv = (st.param(f"W{name}", heads, d, h) for name in "qkv")
    mixed = st.softmax((X @ Wq) @ (X @ Wk).T) @ (X @ Wv) @ st.param("Wo", heads, h, d)
    return st.Parametrization(mixed.sum(0), name="heads_without_biases")


# Inner sizes are no larger than the outer ones, so that all Gram matrices have full rank.
CATALOG_SIZES: dict[str, dict[str, int]] = {
    "total_variation": {"d": 4},
    "low_rank": {"n": 4, "m": 3, "h": 2},
    "tied_product": {"n": 4, "h": 3},
    "cp_decomposition": {"n": 2, "m": 3, "k": 4, "h": 2},
    "lora": {"d": 3, "k": 4, "r": 2},
    "deep_linear": {"d": 3, "h1": 2, "h2": 2, "k": 4},
    "state_space": {"d": 2, "h": 3, "k": 4},
    "softmax_classifier": {"d": 2, "k": 3},
    "shallow_relu": {"d": 3, "h": 4, "k": 2},
    "superposition": {"d": 4, "h": 3},
    "deep_relu": {"d": 3, "h1": 4, "h2": 2, "k": 3},
    "leaky_relu": {"d": 3, "h": 4, "k": 2},
    "quadratic": {"d": 3, "h": 4},
    "monomial": {"d": 3, "h": 4, "k": 2},
    "tanh_net": {"d": 3, "h": 4, "k": 2},
    "bilinear": {"d": 3, "h": 4, "k": 2},
    "swiglu": {"d": 3, "h": 4, "k": 2},
    "convolution": {"channels": 2, "height": 3, "width": 3, "s": 2, "c": 3, "k": 2},
    "weight_norm": {"d": 3, "h": 4, "k": 2},
    "batch_norm": {"n": 3, "d": 3, "h": 4, "k": 2},
    "rms_norm": {"d": 3, "h": 4, "k": 2},
    "rms_norm_gain": {"d": 3, "h": 4, "k": 2},
    "layer_norm": {"d": 3, "h": 4, "k": 2},
    "layer_norm_affine": {"d": 3, "h": 4, "k": 2},
    "linear_attention": {"n": 2, "d": 3, "h": 2},
    "attention": {"n": 2, "d": 3, "h": 2},
    "multihead_attention": {"n": 2, "d": 4, "heads": 3, "h": 2},
    "grouped_query_attention": {"n": 2, "d": 3, "groups": 2, "r": 3, "h": 2},
    "residual": {"v": 4, "d": 3, "h": 2, "k": 4},
    "residual_rms_norm": {"v": 4, "d": 3, "h": 2, "k": 2},
    "residual_layer_norm": {"v": 4, "d": 3, "h": 2, "k": 2},
    "tied_embedding": {"v": 4, "d": 3, "h": 2},
    "mixture_of_experts": {"d": 3, "m": 2, "h": 4, "k": 2},
    "transformer": {"n": 2, "v": 4, "d": 3, "h": 2, "m": 2},
}
OTHERS: dict[str, tuple[Callable[[], st.Parametrization], dict[str, int]]] = {
    **{f"chain{layers}": (chain(layers), {}) for layers in range(2, 6)},
    "heads_without_biases": (heads_without_biases, {"n": 2, "d": 4, "heads": 3, "h": 2}),
    "heads_with_an_axis": (heads_with_an_axis, {"n": 2, "d": 4, "heads": 3, "h": 2}),
    "rows_against_rows": (rows_against_rows, {"n": 4, "m": 3, "h": 2}),
    "fixed_layer": (fixed_layer, {"d": 3, "h": 2, "k": 4}),
}
NAMES = (*CATALOG_SIZES, *OTHERS)
QUOTIENT_METRICS = ("invariant", "mixed")
ALL_CASES = [(name, metric) for name in NAMES for metric in QUOTIENT_METRICS]


@cache
def declared(name: str) -> st.Parametrization:
    """Bound to its sizes."""
    if name in CATALOG_SIZES:
        return catalog.load(name).bind(**CATALOG_SIZES[name])
    make, sizes = OTHERS[name]
    return make().bind(**sizes) if sizes else make()


@cache
def geometry(name: str, metric: str) -> MatrixGeometry:
    found = declared(name).geometry(metric)
    assert isinstance(found, MatrixGeometry)
    return found


@cache
def dense(name: str, metric: str) -> Dense:
    return Dense(geometry(name, metric).blocks, declared(name))


# -- Parameters as vectors ---------------------------------------------------------------------------------------------


def family(view: View, array: np.ndarray) -> np.ndarray:
    """(*shape) as (*copies, rows, columns)."""
    sizes = [int(size) for size in view.layout.sizes]
    copies = [sizes[place] for place in view.batch]
    moved = array.reshape(sizes).transpose(*view.batch, *view.rows, *view.columns)
    return moved.reshape(*copies, *(int(size) for size in view.shape))


@dataclass(frozen=True)
class Dense:
    """A metric as a matrix on all parameters at once."""

    metric: BlockMetric
    parametrization: st.Parametrization

    @property
    def model(self) -> MatrixModel:
        return self.metric.model

    @cached_property
    def copies(self) -> int:
        """The number of axes that tell copies apart."""
        return max(len(view.batch) for view in self.model.views.values())

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Parameter → shape of its family; with as many axes of copies as the others have, of size 1 if need be."""
        found = {}
        for name, view in self.model.views.items():
            batch = [int(view.layout.sizes[place]) for place in view.batch] or [1] * self.copies
            assert len(batch) == self.copies
            found[name] = (*batch, *(int(size) for size in view.shape))
        return found

    @cached_property
    def dimension(self) -> int:
        return sum(int(np.prod(shape)) for shape in self.shapes.values())

    def split(self, vector: np.ndarray) -> Arrays:
        """(*stack, D) as parameter → (*stack, *copies, rows, columns)."""
        stops = np.cumsum([np.prod(shape) for shape in self.shapes.values()])[:-1].astype(int)
        parts = np.split(vector, stops, axis=-1)
        return {
            name: part.reshape(*vector.shape[:-1], *shape)
            for part, (name, shape) in zip(parts, self.shapes.items(), strict=True)
        }

    def joined(self, families: Mapping[str, np.ndarray], stack: tuple[int, ...] = ()) -> np.ndarray:
        """Parameter → (*stack, *copies, rows, columns) as one vector; what is left out is zero."""
        parts = []
        for name, shape in self.shapes.items():
            value = np.asarray(families.get(name, 0.0))
            parts.append(np.broadcast_to(value, (*stack, *shape)).reshape(*stack, -1))
        return np.concatenate(parts, axis=-1)

    def point_values(self, point: np.ndarray) -> dict[Any, Any]:
        return {self.model.symbols[name]: value for name, value in self.split(point).items()}

    def tangent_values(self, tangent: np.ndarray, prefix: str = "xi") -> dict[Any, Any]:
        symbols = self.model.tangent(prefix)
        return {symbols[name]: value for name, value in self.split(tangent).items()}

    def random(self, seed: int) -> np.ndarray:
        return np.random.default_rng(seed).standard_normal(self.dimension)

    # The metric and its derivatives.

    @cached_property
    def _lowered(self) -> dict[str, Any]:
        xi = self.model.tangent("xi")
        return {
            name: self.metric.definitions.expression(block.lower(letter(xi[name])))
            for name, block in self.metric.blocks.items()
        }

    def lower(self, point: np.ndarray, xi: np.ndarray) -> np.ndarray:
        """The covector of a tangent: (*stack, D)."""
        values = self.point_values(point) | self.tangent_values(xi)
        stack = np.broadcast_shapes(point.shape[:-1], xi.shape[:-1])
        return self.joined({name: number(value, values) for name, value in self._lowered.items()}, stack)

    def inner(self, point: np.ndarray, xi: np.ndarray, zeta: np.ndarray) -> np.ndarray:
        return np.asarray((self.lower(point, xi) * zeta).sum(axis=-1))

    def matrix(self, point: np.ndarray) -> np.ndarray:
        """𝒢 as a D×D matrix: the covectors of all basis vectors."""
        return self.lower(point, np.eye(self.dimension))

    def inner_rate(self, point: np.ndarray, along: np.ndarray, xi: np.ndarray, zeta: np.ndarray) -> np.ndarray:
        """D_along ⟨ξ, ζ⟩ for constant ξ and ζ."""
        return np.imag(self.inner(point + 1j * STEP * along, xi, zeta)) / STEP

    def christoffel(self, point: np.ndarray, xi: np.ndarray) -> np.ndarray:
        """Γ(ξ, ξ) = 𝒢⁻¹(D_ξ𝒢 ξ − ½ ∇⟨ξ, ξ⟩)."""
        along = np.imag(self.lower(point + 1j * STEP * xi, xi)) / STEP
        slopes = self.inner_rate(point, np.eye(self.dimension), xi, xi)
        return np.linalg.solve(self.matrix(point), along - slopes / 2)

    # Straightened coordinates and the group.

    def straight(self, point: Mapping[str, np.ndarray]) -> np.ndarray:
        """Arrays of the declared shapes as a vector in the coordinates of the metric."""
        current = dict(point)
        for made_up in self.model.straightening if self.metric.is_straightened else ():
            leaves = {
                **constants(self.parametrization),
                **point,
                made_up.leaf.operation.label: current[made_up.shifted],
            }
            change = evaluate_node(made_up.change, leaves).astype(np.complex128)
            current[made_up.parameter] = current[made_up.parameter] - change
        vector = self.joined({name: self._family(name, np.asarray(value)) for name, value in current.items()})
        return vector if any(np.iscomplexobj(value) for value in point.values()) else np.real(vector)

    def _family(self, name: str, array: np.ndarray) -> np.ndarray:
        own = family(self.model.views[name], array)
        return own.reshape((1,) * (self.copies + 2 - own.ndim) + own.shape)

    def straight_tangent(self, point: Arrays, tangent: Arrays) -> np.ndarray:
        """A tangent of the declared shapes as a vector: the derivative of ``straight``."""
        moved = {name: value + 1j * STEP * tangent.get(name, 0.0) for name, value in point.items()}
        return np.imag(self.straight(moved)) / STEP

    def moved(self, g: Mapping[str, Any], point: Arrays, tangent: Arrays) -> tuple[Arrays, Arrays]:
        """The point and the tangent moved by group elements; for a fixed element the action is affine."""
        group, fixed = self.parametrization.symmetries(), constants(self.parametrization)
        after = group.act(g, {**fixed, **point})
        beyond = group.act(g, {**fixed, **{name: value + tangent[name] for name, value in point.items()}})
        return {name: after[name] for name in point}, {name: beyond[name] - after[name] for name in point}

    def fields(self, point: Arrays) -> dict[str, np.ndarray]:
        """Factor → its fields (number, D), from the action on arrays, at a basis of the Lie algebra."""
        found = {}
        known = {**constants(self.parametrization), **point}
        for factor in self.model.factors.values():
            rows = [self.straight_tangent(point, factor.field(a, known)) for a in algebra_basis(factor)]
            found[factor.name] = np.stack(rows) if rows else np.zeros((0, self.dimension))
        return found


def constants(parametrization: st.Parametrization) -> Arrays:
    return arrays(parametrization.constants, 7)


def algebra_basis(factor: Factor) -> list[np.ndarray]:
    """A basis of a factor's Lie algebra, in the form that ``Factor.field`` takes; or more than a basis."""
    shape = tuple(int(size) for size in factor.element_shape)
    if isinstance(factor, EdgeGroup) and factor.algebra != "GL":
        size = shape[-1]
        projection = np.eye(size) - 1 / size if factor.algebra == "O_fixing_ones" else np.eye(size)
        basis = []
        for copy in np.ndindex(shape[:-2]):
            for i, j in combinations(range(size), 2):
                element = np.zeros(shape)
                element[(*copy, i, j)], element[(*copy, j, i)] = 1.0, -1.0
                basis.append(projection @ element @ projection)
        return basis
    return list(np.eye(int(np.prod(shape))).reshape(-1, *shape))


def projection(fields: np.ndarray, metric: np.ndarray) -> np.ndarray:
    """The projection (D, D) onto the span of the rows of ``fields``, orthogonal in a metric."""
    gram = fields @ metric @ fields.T
    # What lies below 1e-10 of the largest eigenvalue is a field that others make up; the others are far above.
    return fields.T @ np.linalg.pinv(gram, rcond=1e-10, hermitian=True) @ fields @ metric


# -- What the calculus derived, at numbers -----------------------------------------------------------------------------


def derived_christoffel(own: Dense, connection: ChristoffelForm, point: np.ndarray, xi: np.ndarray) -> np.ndarray:
    """Γ(ξ, ξ) of a ``ChristoffelForm``, definition by definition."""
    values = evaluate_definitions(connection.definitions, own.point_values(point) | own.tangent_values(xi))
    return own.joined({name: evaluate(value, values) for name, value in connection.values.items()}, point.shape[:-1])


def written_out(own: Dense, expressions: Mapping[str, Any], values: Mapping[Any, Any]) -> np.ndarray:
    """SymPy expressions by parameter as one vector."""
    return own.joined({name: number(value, values) for name, value in expressions.items()})


def element_value(own: Dense, part: VerticalPart, a: np.ndarray) -> Any:
    """An element of the Lie algebra as the value of the part's symbol."""
    if not isinstance(part.element, sp.MatrixSymbol):
        return np.asarray(a)
    matrix = a if isinstance(part.factor, EdgeGroup) else a[..., None] * np.eye(a.shape[-1])
    return matrix.reshape((1,) * (own.copies + 2 - matrix.ndim) + matrix.shape)


def part_field(own: Dense, part: VerticalPart, point: np.ndarray, a: np.ndarray) -> np.ndarray:
    values = own.point_values(point) | {part.element: element_value(own, part, a)}
    return own.joined({name: evaluate(value, values) for name, value in part.field.items()})


def gram_applied(own: Dense, part: VerticalPart, values: Mapping[Any, Any], a: np.ndarray) -> np.ndarray:
    """The part's Gram operator at an element."""
    element = element_value(own, part, a)
    if isinstance(part.gram, TwoSidedOperator):
        total = np.zeros_like(element)
        for terms, argument in ((part.gram.straight, element), (part.gram.crossed, element.swapaxes(-1, -2))):
            for left, right in terms:
                total = total + evaluate(left, values) @ argument @ evaluate(right, values)
        return total
    gram = evaluate(part.gram, values)
    return np.asarray(gram * element if isinstance(part.gram, TraceForm) else gram @ element)


def shift_fields(own: Dense, point: Arrays) -> np.ndarray:
    """The fields of all shifts (number, D)."""
    found = own.fields(point)
    rows = [found[factor.name] for factor in own.model.factors.values() if isinstance(factor, Translation)]
    return np.concatenate([np.zeros((0, own.dimension)), *rows])


def products(values: Mapping[Any, Any], definitions: Definitions) -> int:
    """How many products of two matrices the values take, and what they are defined by.

    Of each sum the factors that all of its words share at either end are multiplied once, outside of the brackets.
    """
    polynomials = [*values.values(), *(definitions[s] for s in definitions.needed(values.values()))]
    return sum(_products(value) for value in polynomials if isinstance(value, Polynomial))


def _products(value: Polynomial) -> int:
    words, shared = [list(word) for word, _ in value], 0
    for end in (0, -1):
        while len(words) > 1 and all(words) and len({word[end] for word in words}) == 1:
            shared += 1
            for word in words:
                word.pop(end)
    return shared + sum(max(len(word) - 1, 0) for word in words)
