"""The balance of each factor, E[C(g)] = 0 or its form with weight decay, as equations at symbolic size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sympy as sp

from symtheory.errors import CalculusError
from symtheory.graph.computation_graph import ComputationGraph
from symtheory.graph.elementwise import ElementwiseModel
from symtheory.graph.shapes import show
from symtheory.predictions.equation import equation
from symtheory.predictions.formula import Formula
from symtheory.predictions.noise_equilibrium_names import MECHANISM
from symtheory.predictions.prediction import Assumption
from symtheory.predictions.source_function import SourceFunction
from symtheory.predictions.symbols import ETA, LAMBDA, SIGMA
from symtheory.rendering import plain
from symtheory.symmetry.edge_group import EdgeGroup
from symtheory.symmetry.rescaling import Rescaling
from symtheory.symmetry.site import Site

DECAY = 1 - (1 - ETA * LAMBDA) ** 2
"""What weight decay takes from a charge in one step."""


@dataclass(frozen=True)
class Relations:
    """Equations of a statement with the words, the assumptions and the torch formulas that go with them."""

    equations: tuple[sp.Eq, ...] = ()
    notes: tuple[str, ...] = ()
    assumptions: tuple[Assumption, ...] = ()
    formulas: Mapping[str, Formula | SourceFunction] = field(default_factory=dict)

    def __add__(self, other: Relations) -> Relations:
        return Relations(
            self.equations + other.equations,
            self.notes + other.notes,
            self.assumptions + other.assumptions,
            {**self.formulas, **other.formulas},
        )


def balance_of_arrays(factors: Sequence[EdgeGroup | Rescaling], graph: ComputationGraph) -> Relations:
    """The balance of every factor; for a change of basis in E = ∂ℓ/∂W, W the product of what meets on the edge."""
    total = Relations()
    for factor in factors:
        sides = _sides(factor) if isinstance(factor, EdgeGroup) else None
        total += _in_the_product(factor, *sides, graph) if sides else _in_gradients(factor)
    return total


def balance_of_coordinates(model: ElementwiseModel, matrices: Sequence[sp.Matrix]) -> Relations:
    """With one coordinate's gradient ℓ ∇φ, ℓ = ∂loss/∂w and s = E[ℓ²]: decay · C = η² s C(∇φ), and the rate."""
    theta, gradient = sp.Matrix(model.coordinates), model.gradient()
    noise = sp.Symbol("s", positive=True)
    equations, unit_drift = [], {}
    for place, matrix in enumerate(matrices, 1):
        charge, at_gradient = (sp.expand((vector.T * matrix * vector)[0]) for vector in (theta, gradient))
        speed = ((matrix * gradient).dot(matrix * gradient)) / ((matrix * theta).dot(matrix * theta))
        name = str(place) if len(matrices) > 1 else ""
        equations.append(equation(DECAY * charge, ETA**2 * noise * sp.factor(at_gradient)))
        equations.append(equation(sp.Symbol(f"rate{name}"), ETA**2 * noise * sp.cancel(speed) + DECAY))
        unit_drift[f"charge{name}"] = at_gradient
    point = {str(symbol): symbol for symbol in model.coordinates}
    meaning = "Mean change of the charges in one step over η² E[ℓ²], without decay."
    return Relations(
        tuple(equations),
        (
            "s = E[(∂loss/∂w)²] of one coordinate; for label noise on w itself s = sigma²",
            "rate: of each charge by itself, at the equilibrium",
        ),
        (),
        {f"{MECHANISM}_unit_drift": Formula(unit_drift, meaning, dictionaries={"point": point})},
    )


def _sides(factor: EdgeGroup) -> tuple[list[Site], list[Site]] | None:
    """Sites that a change of basis multiplies, and those that it divides; None where a parameter is on both sides."""
    first = [site for site in factor.sites if factor.sign(site) > 0]
    second = [site for site in factor.sites if factor.sign(site) < 0]
    if {site.parameter for site in first} & {site.parameter for site in second}:
        return None
    return first, second


def _in_the_product(
    factor: EdgeGroup | Rescaling, first: Sequence[Site], second: Sequence[Site], graph: ComputationGraph
) -> Relations:
    """The predictor depends on the stacked matrices G, H through W = G Hᵀ alone; g_G and g_H follow from E = ∂ℓ/∂W."""
    left, right = _stacked(first), _stacked(second)
    rows, columns = left.shape[0], right.shape[0]
    product = left * right.T
    slope = sp.MatrixSymbol("E", rows, columns)
    # dℓ = Tr(Eᵀ dW): the gradients of this trace, E held fixed, are those of the loss.
    by_left, by_right = (sp.Trace(slope.T * product).diff(matrix) for matrix in (left, right))
    seen = {slope.T * slope: _moment(right), slope * slope.T: _moment(left)}
    noise = (by_left.T * by_left).doit().subs(seen) - (by_right.T * by_right).doit().subs(seen)
    equations = [equation(DECAY * (left.T * left - right.T * right), ETA**2 * noise)]
    notes = [
        f"{_moment(right)} = E[EᵀE], {_moment(left)} = E[E Eᵀ], E = ∂loss/∂({plain(product)})" + _each(factor),
        *(_stack_note(matrix, sites) for matrix, sites in ((left, first), (right, second)) if len(sites) > 1),
    ]
    if not _is_predictor(graph, product):
        return Relations(tuple(equations), tuple(notes))
    # Entries of E are independent, of variance σ²: E[EᵀE] and E[E Eᵀ] are multiples of the identity.
    alike = {_moment(right): rows * sp.Identity(columns), _moment(left): columns * sp.Identity(rows)}
    gain, loss = ((by.T * by).doit().subs(seen).subs(alike).doit() for by in (by_left, by_right))
    first, second = _VALUES
    return Relations(
        (*equations, equation(gain, loss), equation(sp.Symbol("rate_ij"), isotropic_rate(rows, columns))),
        (
            *notes,
            f"rate_ij: without decay, of the charge's entry i, j where {plain(left.T * left)} is diagonal; "
            f"{first} and {second} are two eigenvalues of it, equal ones for i = j",
        ),
        (Assumption("for the last two: independent label noise on every entry of W, all of them seen", True),),
    )


_VALUES = sp.symbols("p_i p_j", positive=True)


def isotropic_rate(rows: sp.Expr, columns: sp.Expr) -> sp.Expr:
    """η² E⟨A g, A g⟩ over ⟨A θ, A θ⟩ for A = S on the entries i, j, its part along the rotation Ω of i and j left out.

    In balance GᵀG = P = diag(p_i, p_j) and HᵀH = (m/n) P, for G with n rows and H with m. S moves (G, H) to
    (GS, −HS) and Ω to (GΩ, HΩ); E‖E H S‖² = n σ² ‖H S‖² and E‖Eᵀ G S‖² = m σ² ‖G S‖².
    """
    left = sp.diag(*_VALUES)
    right = columns / rows * left
    symmetric, rotation = sp.Matrix([[0, 1], [1, 0]]), sp.Matrix([[0, 1], [-1, 0]])

    def product(first: sp.Matrix, second: sp.Matrix, sign: int) -> sp.Expr:
        return (first.T * left * second).trace() + sign * (first.T * right * second).trace()

    own, across = product(symmetric, symmetric, 1), product(symmetric, rotation, -1)
    noise = SIGMA**2 * (
        rows * (symmetric * right * symmetric).trace() + columns * (symmetric * left * symmetric).trace()
    )
    return sp.factor(ETA**2 * noise / (own - across**2 / product(rotation, rotation, 1)))


def _in_gradients(factor: EdgeGroup | Rescaling) -> Relations:
    """The balance in second moments of the gradients, where no single product carries it."""
    (charge,) = factor.charges.values()
    symbols = sorted((s for s in charge.free_symbols if s.name in factor.shapes), key=lambda s: s.name)
    at_gradient = charge.subs({symbol: _gradient_of(symbol) for symbol in symbols})
    mean = sp.Function("E")(at_gradient) if not isinstance(charge, sp.MatrixExpr) else None
    if mean is None:
        mean = sp.MatrixSymbol(f"E[{plain(at_gradient)}]", *charge.shape)
    return Relations(
        (equation(DECAY * charge, ETA**2 * mean),),
        ("g_W is the part of the gradient of one step that belongs to the parameter W" + _each(factor),),
    )


def _gradient_of(symbol: Any) -> sp.Basic:
    if isinstance(symbol, sp.MatrixSymbol):
        return sp.MatrixSymbol(f"g_{symbol.name}", *symbol.shape)
    return sp.Symbol(f"g_{symbol.name}", real=True)


def _stacked(sites: Sequence[Site]) -> sp.MatrixSymbol:
    """One matrix with h columns: the parameters of one side below each other."""
    rows = sp.Add(*(site.matrix_shape[1 - site.side] for site in sites))
    return sp.MatrixSymbol("_".join(site.parameter for site in sites), rows, sites[0].matrix_shape[sites[0].side])


def _stack_note(matrix: sp.MatrixSymbol, sites: Sequence[Site]) -> str:
    names = ", ".join(site.parameter for site in sites)
    return f"{matrix.name} has the rows of {names} below each other, the axis of the edge along its columns"


def _moment(matrix: sp.MatrixSymbol) -> sp.MatrixSymbol:
    return sp.MatrixSymbol(f"S_{matrix.name}", matrix.shape[0], matrix.shape[0])


def _each(factor: EdgeGroup | Rescaling) -> str:
    return f", one for each index of {show(factor.copies)}" if isinstance(factor, EdgeGroup) and factor.copies else ""


def _is_predictor(graph: ComputationGraph, product: sp.MatrixExpr) -> bool:
    """Whether the predictor is that product itself, so that E is the noise of its entries."""
    if graph.inputs or len(graph.predictor.shape) != 2:
        return False
    try:
        return bool(graph.matrix() == product)
    except CalculusError:
        return False
