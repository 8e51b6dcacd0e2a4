"""Closed forms for one layer V σ(W x) with normal inputs and label noise, by one-dimensional Gaussian integrals.

One unit: z = w·x, x ~ N(0, Σ), s² = wᵀΣw. Given z, x is Σw z/s² plus a part of covariance Σ − Σw wᵀΣ/s² that z does not
tell, so E σ'(z)²‖x‖² = E[σ'(z)² z²] ‖Σw‖²/s⁴ + E[σ'(z)²] (tr Σ − ‖Σw‖²/s²).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import sympy as sp

from symtheory.codegen.statements import Statements, function_source, point_entry
from symtheory.graph.computation_graph import ComputationGraph
from symtheory.graph.node import Node
from symtheory.graph.operation import Elementwise
from symtheory.graph.operations.leaf import Input, Parameter
from symtheory.graph.operations.matmul import MatMul
from symtheory.predictions.equation import equation
from symtheory.predictions.formula import Formula
from symtheory.predictions.noise_equilibrium_names import MECHANISM, SOURCE
from symtheory.predictions.noise_equilibrium_relations import Relations
from symtheory.predictions.prediction import Assumption
from symtheory.predictions.source_function import SourceFunction
from symtheory.predictions.symbols import ETA, SIGMA
from symtheory.symmetry.rescaling import Rescaling
from symtheory.symmetry.site import Site

NORMAL, RATE, UNITS = (f"{MECHANISM}_normal_{part}" for part in ("ratio", "rate", "units"))

DEVIATION = sp.Symbol("s", positive=True)
"""Root of wᵀΣw, the standard deviation of z = w·x."""

TILT = sp.Symbol("q", positive=True)
"""‖Σw‖²."""

TRACE = sp.Symbol("T", positive=True)
"""tr Σ."""

LENGTH = sp.Symbol("r", positive=True)
"""‖w‖²."""

_U = sp.Symbol("u", positive=True)


@dataclass(frozen=True)
class Layer:
    """φ = V σ(W x). inner, outer: sites of W and V; outputs: number of rows of V; inputs: d; activation: σ(z), z its
    argument."""

    inner: Site
    outer: Site
    outputs: sp.Expr
    inputs: sp.Expr
    activation: sp.Expr
    argument: sp.Symbol


def normal_inputs(factors: Sequence[object], graph: ComputationGraph) -> Relations:
    """|V_j|/|W_j| and its rate for a layer of this form; nothing where the graph is none, or an integral is open."""
    for factor in factors:
        layer = _layer(factor, graph) if isinstance(factor, Rescaling) else None
        moments = gaussian_moments(layer.activation, layer.argument) if layer else None
        if layer and moments:
            return _closed_form(layer, *moments, graph)
    return Relations()


@cache
def gaussian_moments(activation: sp.Expr, argument: sp.Symbol) -> tuple[sp.Expr, sp.Expr] | None:
    """E σ(z)² and E σ'(z)²‖x‖², in the symbols of this module; None where SymPy leaves an integral open."""
    # On each half line a piecewise activation is one expression, with a positive variable.
    halves = [activation.subs(argument, sign * _U) for sign in (1, -1)]
    slopes = [sp.diff(half, _U) for half in halves]
    values = [_mean(half**2) for half in halves]
    squares = [_mean(slope**2) for slope in slopes]
    weighted = [_mean(slope**2 * _U**2) for slope in slopes]
    value, square, along = (sp.Add(*parts) for parts in (values, squares, weighted))
    if any(part.has(sp.Integral) for part in (value, square, along)):
        return None
    spread = along * TILT / DEVIATION**4 + square * (TRACE - TILT / DEVIATION**2)
    return sp.factor(value), sp.factor(sp.expand(spread))


def _mean(function: sp.Expr) -> sp.Expr:
    """∫₀^∞ f(u) N(u; 0, s²) du."""
    scaled = sp.expand(function.subs(_U, DEVIATION * _U))
    return sp.integrate(scaled * sp.exp(-(_U**2) / 2) / sp.sqrt(2 * sp.pi), (_U, 0, sp.oo))


def _closed_form(layer: Layer, value: sp.Expr, spread: sp.Expr, graph: ComputationGraph) -> Relations:
    """E[C(g)] = σ² (c_V k E σ² + c_W ‖V_j‖² E σ'²‖x‖²) with exponents c: solved for ‖V_j‖²."""
    outer, inner = layer.outer.exponent, layer.inner.exponent
    norm, weight = _norm(layer.outer), _norm(layer.inner)
    square = -outer / inner * layer.outputs * value / spread
    noise = outer**2 * layer.outputs * value + inner**2 * square * spread
    rate = ETA**2 * SIGMA**2 * noise / (outer**2 * square + inner**2 * LENGTH)
    standard = {DEVIATION: sp.sqrt(LENGTH), TILT: LENGTH, TRACE: layer.inputs}
    ratio = sp.sqrt(sp.cancel(square / LENGTH))
    at_standard = sp.sqrt(sp.cancel((square / LENGTH).subs(standard)))
    numbers = {"inputs": layer.inputs, "outputs": layer.outputs}
    free = {name: size for name, size in numbers.items() if size.is_Symbol}
    tensors = {"deviation": DEVIATION, "tilt": TILT, "trace": TRACE, "length": LENGTH, **free}
    return Relations(
        (
            equation(norm / weight, ratio),
            equation(norm / weight, at_standard),
            equation(sp.Symbol("rate_j"), sp.factor(rate.subs(standard))),
        ),
        (
            f"j: a unit, its row of {layer.inner.parameter} called w; s² = wᵀΣw, q = |Σw|², T = tr Σ, r = |w|²",
            "the second ratio and the rate are for Σ = 1",
        ),
        (Assumption("for the ratios: inputs x ~ N(0, Σ), and one sample a step (sigma²/B replaces sigma²)", True),),
        {
            NORMAL: Formula(ratio, f"‖{layer.outer.parameter}‖/‖{layer.inner.parameter}‖ of each unit.", tensors),
            RATE: Formula(sp.cancel(rate), "Rate per step of each unit.", tensors, {"eta": ETA, "sigma": SIGMA}),
            UNITS: SourceFunction(UNITS, lambda: _units_source(layer, graph)),
        },
    )


def _norm(site: Site) -> sp.Symbol:
    return sp.Symbol(f"|{site.parameter}_j|", positive=True)


def _units_source(layer: Layer, graph: ComputationGraph) -> str:
    """Of every unit: the measured ratio, and the arguments of the closed forms."""
    body = Statements(("point", "covariance"))
    w, v = body.read(layer.inner.parameter), body.read(layer.outer.parameter)
    if layer.inner.copies[0] == 1:
        body.assign(w, f"{w}.mT")
    outer = f"{v}.norm(dim=-2)" if len(layer.outer.layout.shape) == 2 else f"{v}.abs()"
    if len(layer.outer.layout.shape) == 2 and layer.outer.copies[0] == 0:
        outer = f"{v}.norm(dim=-1)"
    body.assign("spread", f"{w} @ covariance")
    body.assign("length", f"{w}.square().sum(-1)")
    body.assign("trace", "covariance.diagonal(dim1=-2, dim2=-1).sum(-1, keepdim=True)")
    entries = {
        "measured": f"{outer} / length.sqrt()",
        "deviation": f"({w} * spread).sum(-1).sqrt()",
        "tilt": "spread.square().sum(-1)",
        "trace": "trace.expand_as(length)",
        "length": "length",
    }
    if layer.inputs.is_Symbol:
        entries["inputs"] = f"torch.full_like(length, {w}.shape[-1])"
    if layer.outputs.is_Symbol:
        entries["outputs"] = f"torch.full_like(length, {v}.shape[{-1 if layer.outer.copies[0] else -2}])"
    body.return_entries(entries)
    return function_source(
        f"{UNITS}(point: dict[str, Tensor], covariance: Tensor)",
        "Of every unit the measured ratio of norms, and the arguments of its closed forms.",
        [point_entry(graph.parameters), "covariance: of the inputs, tensor (*batch, d, d)."],
        f"dict of tensors (*batch, units): measured, and the arguments of {NORMAL} and {RATE}.",
        body.lines,
        SOURCE,
    )


def _layer(factor: Rescaling, graph: ComputationGraph) -> Layer | None:
    """The layer that the factor rescales, where the predictor is one and the factor acts on its two weights alone."""
    root = graph.predictor
    if len(factor.sites) != 2 or len(factor.copies) != 1 or not isinstance(root.operation, MatMul):
        return None
    outer, node = root.operands
    argument = sp.Symbol("z", real=True)
    activation: sp.Expr = argument
    chain: list[Node] = []
    while isinstance(node.operation, Elementwise) and len(node.operands) == 1:
        chain.append(node)
        node = node.operands[0]
    for link in reversed(chain):
        activation = link.operation.scalar(activation)
    if not isinstance(outer.operation, Parameter) or not isinstance(node.operation, MatMul):
        return None
    inner, x = node.operands
    if not isinstance(inner.operation, Parameter) or not isinstance(x.operation, Input) or len(x.shape) != 1:
        return None
    sites = {site.parameter: site for site in factor.sites}
    names = (inner.operation.identifier, outer.operation.identifier)
    if set(names) != set(sites):
        return None
    outputs = outer.shape[0] if len(outer.shape) == 2 else sp.Integer(1)
    return Layer(sites[names[0]], sites[names[1]], outputs, x.shape[0], activation, argument)
