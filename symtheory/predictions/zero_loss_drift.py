"""Label noise at zero loss for any declared graph: the drift, what it minimises, and the smallest value on an orbit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import sympy as sp

from symtheory.codegen.docstring import shape_text
from symtheory.codegen.layout import INDENT, fold_statement
from symtheory.codegen.predictor import render_predictor
from symtheory.codegen.statements import Statements, function_source, point_entry, point_tensors
from symtheory.errors import CalculusError, DerivationError
from symtheory.graph.computation_graph import ComputationGraph
from symtheory.matrix_calculus.polynomial import Letter, collect, polynomial
from symtheory.predictions.equation import equation
from symtheory.predictions.jacobian_trace import JacobianTrace, jacobian_trace
from symtheory.predictions.matrix_statements import size_number, trace_source
from symtheory.predictions.orbit_functions import render_minimiser, render_minimum
from symtheory.predictions.orbit_minimum import OrbitMinimum, orbit_minimum
from symtheory.predictions.prediction import Assumption, Prediction
from symtheory.predictions.source_function import SourceFunction
from symtheory.predictions.subject import Subject
from symtheory.predictions.symbols import ETA, SIGMA
from symtheory.predictions.whole_fibre import reach

MECHANISM = "label_noise"
TRACE, DRIFT = f"{MECHANISM}_trace", f"{MECHANISM}_drift"
MINIMUM, BALANCED = f"{MECHANISM}_minimum", f"{MECHANISM}_balanced"
SOURCE = "Li et al. 2021 (2110.06914)"

RESERVED = {"point", "at", "eta", "sigma", "squares", "mean", "slope", "predictor"}
"""Names in the generated functions that no input or constant may have."""

OBJECTIVE = sp.Function("T")(sp.Symbol("theta"))
STATEMENT = equation(sp.Symbol("drift"), -(ETA**2) * SIGMA**2 / 4 * sp.Symbol("grad_T"))


def zero_loss_drift(subject: Subject) -> Prediction:
    """SGD with label noise σ moves along the set of zero loss by −(η²σ²/4) ∇T a step, T = tr E_x JJᵀ, J = ∂φ/∂θ.

    At zero loss the noise has the covariance σ²H, H = E JᵀJ = ∇²L. Around that set θ then has the covariance
    (ησ²/2) Π, Π the projection on the range of H, and the third derivatives of L turn it into −(η/2)(ησ²/2) ∇ tr H a
    step along the set. Where T has a closed form under standard moments of the inputs it is stated, and where it is a
    weighted sum of squares, its smallest value on an orbit too. Raises ``DerivationError`` for a predictor that is
    linear in the parameters, and for inputs with the name of another argument. Source: Li et al. 2021 (2110.06914).
    """
    graph = subject.graph
    _require_names(graph)
    closed = jacobian_trace(graph)
    if closed is not None and not any(forms for _, forms in closed.terms):
        raise DerivationError(f"'{subject.name}' is linear in its parameters: tr JJᵀ is constant and nothing drifts")
    minimum = None if closed is None else _orbit_minimum(subject, closed)
    relations: list[sp.Basic] = [STATEMENT]
    if closed is not None:
        relations.append(equation(OBJECTIVE, closed.expression))
    if minimum is not None:
        relations += [equation(sp.Symbol("min_T"), minimum.value), *_balance(subject, closed)]
    return Prediction(
        mechanism=MECHANISM,
        title="Label-noise drift at zero loss",
        statement=sp.Tuple(*relations),
        observable="solution that noise-free gradient descent reaches from the current point, over replicas",
        assumptions=_assumptions(closed),
        order="leading order in eta",
        source=SOURCE,
        formulas=_formulas(subject, closed, minimum),
        parametrization=subject.name,
        notes=_notes(subject, closed, minimum),
        called=(SourceFunction("predictor", partial(render_predictor, graph)),),
    )


def _require_names(graph: ComputationGraph) -> None:
    taken = sorted({*graph.inputs, *graph.constants} & RESERVED)
    if taken:
        raise DerivationError(f"'{taken[0]}' is the name of another argument or variable of the drift: rename it")


def _assumptions(closed: JacobianTrace | None) -> tuple[Assumption, ...]:
    own = (
        Assumption("squared loss ½‖r‖² summed over outputs, one sample a step (for B samples σ²/B replaces σ²)", True),
        Assumption("label noise is independent over outputs, samples and steps, with variance σ²", True),
        Assumption("training has reached zero loss and stays near it, on a set where JJᵀ has constant rank", True),
        Assumption("step small enough for the slow drift to be seen apart from the fast fluctuation", True),
    )
    of_inputs = (Assumption(f"in the closed form of T, {closed.inputs}", True),) if closed and closed.inputs else ()
    return (*own, *of_inputs)


def _notes(subject: Subject, closed: JacobianTrace | None, minimum: OrbitMinimum | None) -> tuple[str, ...]:
    notes = [
        "drift: mean change per step, of which the part along the zero-loss set stays",
        "T = tr E_x JJᵀ, J = ∂φ/∂θ, summed over outputs; at zero loss it is the trace of the Hessian",
    ]
    if closed is None:
        notes.append("T has no closed form here for standard inputs: it is computed for given ones")
    if minimum is not None:
        notes.append(f"min_T is the smallest T on the orbit of θ; {reach(subject, minimum)}")
        notes.append("the last relations hold where T is smallest on its orbit: the balance of label noise")
    return tuple(notes)


def _orbit_minimum(subject: Subject, closed: JacobianTrace) -> OrbitMinimum | None:
    """Where T is a weighted sum of squares and some charge can be balanced."""
    weights = closed.weights(list(subject.graph.parameters))
    if weights is None or not any(factor.has_charge for factor in subject.group):
        return None
    try:
        minimum = orbit_minimum(subject.matrices, weights)
    except (CalculusError, DerivationError):
        return None
    return minimum if minimum.is_closed else None


def _balance(subject: Subject, closed: JacobianTrace | None) -> list[sp.Basic]:
    """The weighted moment map: charges whose terms carry the weights of their parameters."""
    weights = closed.weights(list(subject.graph.parameters)) if closed else None
    relations: list[sp.Basic] = []
    for charge in subject.group.charges.values():
        if weights is None or not isinstance(charge, sp.MatrixExpr):
            continue
        inner = charge.arg if isinstance(charge, sp.DiagonalMatrix) else charge
        terms = [(word, c * weights[_name_in(word)]) for word, c in polynomial(inner)]
        sides = [
            collect([(word, sign * c) for word, c in terms if c.could_extract_minus_sign() == (sign < 0)], inner.shape)
            for sign in (1, -1)
        ]
        left, right = (
            sp.DiagonalMatrix(side.expression()) if isinstance(charge, sp.DiagonalMatrix) else side.expression()
            for side in sides
        )
        relations.append(equation(left, right))
    return relations


def _name_in(word: Sequence[Any]) -> str:
    return next(str(factor.symbol.name) for factor in word if isinstance(factor, Letter))


# Torch functions


def _formulas(
    subject: Subject, closed: JacobianTrace | None, minimum: OrbitMinimum | None
) -> Mapping[str, SourceFunction]:
    graph = subject.graph
    makers: dict[str, Callable[[], str]] = {}
    if closed is not None:
        makers[MECHANISM] = partial(_render_closed, graph, closed)
    makers[TRACE] = partial(_render_trace, graph)
    makers[DRIFT] = partial(_render_drift, graph)
    if minimum is not None:
        own = (minimum, graph.parameters, subject.name)
        makers[MINIMUM] = partial(render_minimum, MINIMUM, *own, "The smallest T on the orbit of a point.")
        makers[BALANCED] = partial(render_minimiser, BALANCED, *own, "A point of smallest T on the orbit of a point.")
    return {name: SourceFunction(name, maker) for name, maker in makers.items()}


def _render_closed(graph: ComputationGraph, closed: JacobianTrace) -> str:
    needed = set().union(*(factor.free_symbols for factor, _ in closed.terms))
    body = Statements(("point",), sorted(needed, key=str))
    body.read_sizes(needed, point_tensors(graph.parameters), graph.name)
    variables = {}
    for name, shape in graph.parameters.items():
        leaf = body.read(name)
        column = leaf if len(shape) == 2 else body.assign(body.names.unique(f"column_{name}"), f"{leaf}[..., :, None]")
        variables[name] = column
    parts = []
    for factor, forms in closed.terms:
        sources = [trace_source(form, variables) for form in forms]
        number = [] if factor == 1 and sources else [size_number(factor)]
        parts.append(" * ".join([*number, *sources]))
    body.lines += fold_statement("return ", " + ".join(parts))
    return function_source(
        f"{MECHANISM}(point: dict[str, Tensor])",
        f"T = tr E JJᵀ{f', where {closed.inputs}' if closed.inputs else ''}.",
        [point_entry(graph.parameters)],
        "tensor ``(*batch)``.",
        body.lines,
        SOURCE,
        result="Tensor",
    )


def _render_trace(graph: ComputationGraph) -> str:
    inputs, constants = graph.inputs, graph.constants
    arguments = "".join(f", {name}" for name in (*inputs, *constants))
    lines = [
        *_squares_lines(graph),
        f"{INDENT}for _ in range({_axes_of_batch(graph)}):",
        f"{2 * INDENT}mean = torch.func.vmap(mean)",
        f"{INDENT}return mean(point)",
    ]
    return function_source(
        f"{TRACE}(point: dict[str, Tensor]{''.join(f', {name}: Tensor' for name in arguments.split(', ') if name)})",
        "T = tr JJᵀ of the predictor, the mean over samples; all leaves of the point have the same batch axes.",
        [point_entry(graph.parameters), *_entries(graph)],
        "tensor ``(*batch)``.",
        lines,
        SOURCE,
        result="Tensor",
    )


def _render_drift(graph: ComputationGraph) -> str:
    names = [*graph.inputs, *graph.constants]
    arguments = "".join(f", {name}: Tensor" for name in names)
    lines = [
        *_squares_lines(graph),
        f"{INDENT}slope = torch.func.grad(mean)",
        f"{INDENT}for _ in range({_axes_of_batch(graph)}):",
        f"{2 * INDENT}slope = torch.func.vmap(slope)",
        f"{INDENT}return {{name: -(eta**2) * sigma**2 / 4 * leaf for name, leaf in slope(point).items()}}",
    ]
    return function_source(
        f"{DRIFT}(point: dict[str, Tensor]{arguments}, eta: float, sigma: float)",
        "Mean change of the point in one step near zero loss, of which the part along the zero-loss set stays.",
        [
            point_entry(graph.parameters),
            *_entries(graph),
            "eta: step, a number.",
            "sigma: standard deviation of the label noise, a number.",
        ],
        "dict with the keys and shapes of point.",
        lines,
        SOURCE,
    )


def _squares_lines(graph: ComputationGraph) -> list[str]:
    """Definition of ``mean``, T of a point without batch axes."""
    names = [*graph.inputs, *graph.constants]
    given = "".join(f", {name}" for name in names)
    lines = [
        f"{INDENT}def squares(at: dict[str, Tensor]{''.join(f', {name}: Tensor' for name in names)}) -> Tensor:",
        f"{2 * INDENT}jacobian = torch.func.jacrev(predictor)(at{given})",
        f"{2 * INDENT}return torch.stack([block.square().sum() for block in jacobian.values()]).sum()",
        "",
        f"{INDENT}def mean(at: dict[str, Tensor]) -> Tensor:",
    ]
    if graph.inputs:
        axes = ", ".join(["None", *("0" for _ in graph.inputs), *("None" for _ in graph.constants)])
        lines.append(f"{2 * INDENT}return torch.func.vmap(squares, in_dims=({axes}))(at{given}).mean()")
    else:
        lines.append(f"{2 * INDENT}return squares(at{given})")
    return [*lines, ""]


def _axes_of_batch(graph: ComputationGraph) -> str:
    name, shape = next(iter(graph.parameters.items()))
    own = f" - {len(shape)}" if shape else ""
    return f'point["{name}"].ndim{own}'


def _entries(graph: ComputationGraph) -> list[str]:
    samples = [
        f"{name}: samples, tensor {shape_text(shape).replace('*batch', 'samples')}."
        for name, shape in graph.inputs.items()
    ]
    fixed = [
        f"{name}: fixed, tensor {shape_text(shape).replace('*batch, ', '').replace('*batch', '')}."
        for name, shape in graph.constants.items()
    ]
    return [*samples, *fixed]
