"""Brute force on small instances: all affine fields Mθ + b with Dφ(θ)[Mθ + b] = 0, without looking at the graph."""

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


class AffineFields:
    """Equations for M and b at sampled points: Σ_ab J_ia(θ) M_ab θ_b + Σ_a J_ia(θ) b_a = 0 for every output i.

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
        self.samples = 3 * len(self.theta) * (len(self.theta) + 1) // len(outputs) + 5

    def dimension(self) -> int:
        """Of all affine fields, those that a coordinate times a constant field gives left out.

        A constant field T that is a symmetry (a shift) gives the affine symmetries θ_j T for every coordinate θ_j;
        their orbits are those of T, and a group has no need of them.
        """
        gradients, rows = [], []
        for _ in range(self.samples):
            theta, data = self._draw(len(self.theta)), self._draw(self.data_count)
            for gradient in self.jacobian(*theta, *data):
                gradients.append(list(gradient))
                rows.append([entry * value for entry in gradient for value in (*theta, 1)])
        shifts = len(self.theta) - self._rank(gradients)
        return len(self.theta) * (len(self.theta) + 1) - self._rank(rows) - len(self.theta) * shifts

    def _rank(self, rows: list[list[Any]]) -> int:
        if self.exact:
            entries = [[QQ(Fraction(entry).numerator, Fraction(entry).denominator) for entry in row] for row in rows]
            return int(DomainMatrix(entries, (len(rows), len(rows[0])), QQ).rank())
        matrix = np.array(rows, dtype=np.float64)
        matrix = matrix[np.linalg.norm(matrix, axis=1) > ZERO_BELOW]  # outputs that do not move, up to rounding
        values = np.linalg.svd(matrix / np.linalg.norm(matrix, axis=1, keepdims=True), compute_uv=False)
        relative = values / values[0]
        assert not np.any((relative > ZERO_BELOW) & (relative < NONZERO_ABOVE)), "no clear rank gap"
        return int(np.sum(relative >= NONZERO_ABOVE))

    def _draw(self, count: int) -> list[Any]:
        values = self.rng.integers(1, 10, size=count) * self.rng.choice([-1, 1], size=count)
        return [int(value) if self.exact else float(value) / 8 for value in values]
