"""Networks by their widths, and slow symbolic oracles for brackets of gradients."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import sympy as sp
from sympy.polys.domains import QQ
from sympy.polys.matrices import DomainMatrix

import symtheory.graph.functions as st
from symtheory.graph.computation_graph import ComputationGraph
from symtheory.symmetry.certificate.circuit import compile_circuit
from symtheory.symmetry.certificate.gradient_source import GradientSource
from symtheory.symmetry.certificate.numerical_rank import RankGap, numerical_kernel


def deep_linear(*widths: int) -> ComputationGraph:
    """W_0 W_1 … with W_i of shape (widths[i], widths[i + 1])."""
    product = st.param("W0", *widths[:2])
    for index, sizes in enumerate(pairwise(widths[1:]), 1):
        product = product @ st.param(f"W{index}", *sizes)
    return ComputationGraph(product, name="deep_linear_" + "_".join(map(str, widths)))


def deep_relu(*widths: int) -> ComputationGraph:
    """ReLU network without biases; widths from the input to the output."""
    z = st.input("x", widths[0])
    for index, (size, wide) in enumerate(pairwise(widths)):
        z = st.param(f"W{index}", wide, size) @ (st.relu(z) if index else z)
    return ComputationGraph(z, name="relu_" + "_".join(map(str, widths)))


def source_of(graph: ComputationGraph, seed: int = 0) -> GradientSource:
    return GradientSource(compile_circuit(graph), seed)


def rounded_source(graph: ComputationGraph, seed: int = 0) -> GradientSource:
    """The same with float64 arithmetic, for a graph that could be treated modulo the prime."""
    circuit = compile_circuit(graph)
    circuit.__dict__["is_exact"] = False
    return GradientSource(circuit, seed)


def shift(size: int) -> ComputationGraph:
    return ComputationGraph(st.param("a", size) + st.param("b", size), name=f"shift_{size}")


def dense_affine_fields(source: GradientSource) -> tuple[np.ndarray, RankGap]:
    """Orthonormal basis (fields, D (D + 1)) of the solutions of one float64 system for all entries of M and b."""
    size = source.dimension * (source.dimension + 1)
    count = (size + 40) * (3 if source.circuit.has_gates else 1)
    theta = source.numerators(count, source.dimension)
    factors = np.concatenate([source.values(theta), np.ones((count, 1))], axis=1)
    equations = (source.rows(theta)[:, :, None] * factors[:, None, :]).reshape(count, size)
    lengths = np.linalg.norm(equations, axis=1)
    unit = equations[lengths > 0] / lengths[lengths > 0, None]
    return numerical_kernel(unit * np.sqrt(size / len(unit)))


def bracket(first: sp.Matrix, second: sp.Matrix, theta: Sequence[sp.Symbol]) -> sp.Matrix:
    """[f, g] = Dg·f − Df·g."""
    return (second.jacobian(theta) * first - first.jacobian(theta) * second).applyfunc(sp.expand)


def parameter_symbols(graph: ComputationGraph) -> list[sp.Symbol]:
    leaves = {node.operation.label: node.operation.components() for node in graph.nodes if not node.operands}
    return [symbol for name in graph.parameters for symbol in leaves[name].ravel()]


def gradient_field(graph: ComputationGraph, weights: Sequence[int], theta: Sequence[sp.Symbol]) -> sp.Matrix:
    """∇ Σ_i weights_i φ_i of a graph without inputs."""
    value = sum(
        sp.Integer(int(weight)) * entry for weight, entry in zip(weights, graph.components().ravel(), strict=True)
    )
    return sp.Matrix([sp.diff(value, symbol) for symbol in theta])


def symbolic_lie_dimension(graph: ComputationGraph) -> int:
    """All brackets of the gradients written out; polynomial graphs without inputs."""
    theta = parameter_symbols(graph)
    generators = [sp.Matrix([sp.diff(entry, symbol) for symbol in theta]) for entry in graph.components().ravel()]
    return written_out_dimension(generators, theta)


def symbolic_momentum_dimension(graph: ComputationGraph, friction: sp.Rational) -> int:
    """dim Lie({d, c_y}) on (t, θ, v), d = (1, v, −τ v) and c_y = (0, 0, ∇φ_y), with all brackets written out."""
    theta = parameter_symbols(graph)
    velocity = [sp.Symbol(f"velocity_{symbol}", real=True) for symbol in theta]
    drift = sp.Matrix([1, *velocity, *(-friction * speed for speed in velocity)])
    forces = [[sp.diff(entry, symbol) for symbol in theta] for entry in graph.components().ravel()]
    controls = [sp.Matrix([0, *(0 for _ in theta), *force]) for force in forces]
    return written_out_dimension([drift, *controls], [sp.Symbol("t", real=True), *theta, *velocity])


def written_out_dimension(generators: list[sp.Matrix], symbols: Sequence[sp.Symbol]) -> int:
    """Span, at one rational point, of the Lie algebra of polynomial fields, found level by level.

    A bracket that is a combination of earlier fields with constant coefficients is dropped: its own brackets are
    combinations too. The next level adds nothing at the point when this one did not.
    """
    point = {symbol: sp.Rational(3 + index**2, 7 + 2 * index) for index, symbol in enumerate(symbols)}
    fields: list[sp.Matrix] = []
    level, found = generators, -1
    while True:
        new = independent_fields(fields + level, symbols)[len(fields) :]
        fields += new
        rank = int(sp.Matrix.hstack(*(field.subs(point) for field in fields)).rank())
        if rank == found:
            return rank
        found = rank
        level = [bracket(generator, field, symbols) for generator in generators for field in new]


def independent_fields(fields: list[sp.Matrix], symbols: Sequence[sp.Symbol]) -> list[sp.Matrix]:
    """Those that are no combination, with constant coefficients, of the fields before them."""
    terms = [
        {
            (place, *powers): value
            for place, entry in enumerate(field)
            for powers, value in sp.Poly(entry, symbols).terms()
        }
        for field in fields
    ]
    monomials = sorted({term for written in terms for term in written})
    columns = [[QQ.from_sympy(written.get(term, sp.Integer(0))) for written in terms] for term in monomials]
    _, pivots = DomainMatrix(columns, (len(monomials), len(fields)), QQ).rref()
    return [fields[place] for place in pivots]
