"""Brute force on small instances: all linear vector fields Mθ with Dφ(θ)[Mθ] = 0, without looking at the graph."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import sympy as sp
from sympy.polys.domains import QQ
from sympy.polys.matrices import DomainMatrix

from symtheory.graph.computation_graph import ComputationGraph

# Numerical rank: singular values of the equations in float64, relative to the largest. Measured on the cases here,
# the ones that are zero lie below 1e-13 and the others above 1e-6.
ZERO_BELOW, NONZERO_ABOVE = 1e-11, 1e-7


class LinearFields:
    """Equations for M at sampled points: Σ_ab J_ia(θ) M_ab θ_b = 0 for every output i.

    Parameters and inputs take small integer values; ``exact`` graphs (polynomial or piecewise linear) are solved in
    rationals, others in float64 with a stated gap.
    """

    def __init__(self, graph: ComputationGraph, exact: bool, seed: int = 0) -> None:
        names = list(graph.parameters)
        symbols = {node.operation.label: node.operation.components() for node in graph.nodes if not node.operands}
        self.theta = [symbol for name in names for symbol in symbols[name].ravel()]
        data = [symbol for name in graph.inputs for symbol in symbols[name].ravel()]
        outputs = list(graph.components().ravel())
        jacobian = sp.Matrix(outputs).jacobian(self.theta)
        functions = {"Max": max, "Heaviside": lambda z, *_: int(z > 0), "Abs": abs, "sign": np.sign}
        self.jacobian = sp.lambdify([*self.theta, *data], jacobian.tolist(), modules=[functions, "math"], cse=True)
        self.exact, self.data_count, self.rng = exact, len(data), np.random.default_rng(seed)
        # A point where units of a ReLU are off says nothing about them: three times as many points as unknowns.
        self.samples = 3 * (len(self.theta) ** 2) // len(outputs) + 5

    def dimension(self) -> int:
        rows: list[list[Any]] = []
        for _ in range(self.samples):
            theta, data = self._draw(len(self.theta)), self._draw(self.data_count)
            for gradient in self.jacobian(*theta, *data):
                rows.append([entry * value for entry in gradient for value in theta])
        unknowns = len(self.theta) ** 2
        if self.exact:
            entries = [[QQ(Fraction(entry).numerator, Fraction(entry).denominator) for entry in row] for row in rows]
            return int(unknowns - DomainMatrix(entries, (len(rows), unknowns), QQ).rank())
        matrix = np.array(rows, dtype=np.float64)
        matrix = matrix[np.linalg.norm(matrix, axis=1) > ZERO_BELOW]  # outputs that do not move, up to rounding
        values = np.linalg.svd(matrix / np.linalg.norm(matrix, axis=1, keepdims=True), compute_uv=False)
        relative = values / values[0]
        assert not np.any((relative > ZERO_BELOW) & (relative < NONZERO_ABOVE)), "no clear rank gap"
        return int(unknowns - np.sum(relative >= NONZERO_ABOVE))

    def _draw(self, count: int) -> list[Any]:
        values = self.rng.integers(1, 10, size=count) * self.rng.choice([-1, 1], size=count)
        return [int(value) if self.exact else float(value) / 4 for value in values]
