"""Gradients of a circuit's outputs in a truncated algebra, by the chain rule backwards, for a batch of points."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import sympy as sp

from symtheory.symmetry.certificate.circuit import Circuit, Instruction
from symtheory.symmetry.certificate.truncated_algebra import Taylor, TruncatedAlgebra

Gates = Mapping[int, np.ndarray]
"""Position of a piecewise linear instruction → index of the piece that each member of the batch is on."""

# A member this close to a kink (values are of order one) is not used: its piece could be decided by rounding.
KINK_MARGIN = 1e-7


@dataclass(frozen=True)
class Evaluation:
    """One circuit in one algebra; leaves come as arrays (batch or 1, entries, 2^k)."""

    circuit: Circuit
    algebra: TruncatedAlgebra

    def gradients(
        self, theta: np.ndarray, data: np.ndarray, constants: np.ndarray, weights: np.ndarray, gates: Gates
    ) -> np.ndarray:
        """∇_θ Σ_i weights_i φ_i, shape (batch, D, 2^k); weights: (batch, outputs, 1); gates: pieces to stay on."""
        values = self.forward(theta, data, constants, gates)
        algebra, circuit = self.algebra, self.circuit
        incoming: list[list[np.ndarray]] = [[] for _ in circuit.instructions]
        for index, position in enumerate(circuit.outputs):
            incoming[position].append(weights[:, index])
        batch, width = weights.shape[0], theta.shape[-1]
        result: np.ndarray = np.zeros((batch, len(circuit.parameter_names), width), dtype=algebra.dtype)
        for position in reversed(range(len(circuit.instructions))):
            instruction = circuit.instructions[position]
            if not incoming[position] or not circuit.depends_on_parameters[position]:
                continue
            received = algebra.add(incoming[position])
            incoming[position] = []
            if instruction.kind == "parameter":
                result[:, instruction.value, : received.shape[-1]] = received  # type: ignore[index]
                continue
            for operand, factor in self._partials(instruction, position, values, gates):
                if circuit.depends_on_parameters[operand]:
                    passed = received if factor is None else algebra.multiply(received, factor)
                    incoming[operand].append(passed)
        return result

    def forward(
        self, theta: np.ndarray, data: np.ndarray, constants: np.ndarray, gates: Gates | None
    ) -> list[np.ndarray]:
        """Value of every instruction; without ``gates`` every member takes the piece it is on (float64)."""
        leaves = {"parameter": theta, "input": data, "constant": constants}
        values: list[np.ndarray] = []
        for position, instruction in enumerate(self.circuit.instructions):
            if instruction.kind in leaves:
                values.append(leaves[instruction.kind][:, instruction.value])  # type: ignore[index]
            else:
                operands = [values[index] for index in instruction.operands]
                values.append(self._value(instruction, position, operands, gates))
        return values

    def _value(
        self, instruction: Instruction, position: int, operands: list[np.ndarray], gates: Gates | None
    ) -> np.ndarray:
        algebra = self.algebra
        kind = instruction.kind
        if kind == "number":
            return np.full((1, 1), algebra.number(instruction.value), dtype=algebra.dtype)
        if kind == "add":
            return algebra.add(operands)
        if kind == "multiply":
            return algebra.multiply(*operands)
        if kind in ("max", "abs"):
            pieces = _choose(kind, operands) if gates is None else gates[position]
            factors = self._factors(kind, len(operands), pieces)
            return algebra.add(list(map(algebra.multiply, operands, factors)))
        return algebra.apply(self._taylor(instruction), operands[0])

    def _factors(self, kind: str, count: int, pieces: np.ndarray) -> list[np.ndarray]:
        """By what each of ``count`` operands is multiplied on the piece at hand: ±1 for abs, 0 or 1 for max."""
        if kind == "abs":
            return [self.algebra.reduce((2 * pieces - 1).astype(self.algebra.dtype))[:, None]]
        return [(pieces == index).astype(self.algebra.dtype)[:, None] for index in range(count)]

    def _partials(
        self, instruction: Instruction, position: int, values: list[np.ndarray], gates: Gates
    ) -> list[tuple[int, np.ndarray | None]]:
        """Operand and partial derivative; None for 1."""
        places = instruction.operands
        operands = [values[index] for index in places]
        if instruction.kind == "add":
            return [(index, None) for index in places]
        if instruction.kind == "multiply":
            return [(places[0], operands[1]), (places[1], operands[0])]
        if instruction.kind in ("max", "abs"):
            return list(zip(places, self._factors(instruction.kind, len(places), gates[position]), strict=True))
        return [(places[0], self.algebra.apply(_derivative(self._taylor(instruction), self.algebra), operands[0]))]

    def _taylor(self, instruction: Instruction) -> Taylor:
        if instruction.kind == "power":
            return _power_taylor(instruction.value, self.algebra)
        return _function_taylor(instruction.value)


def pieces(circuit: Circuit, values: list[np.ndarray]) -> tuple[Gates, np.ndarray]:
    """The pieces that float64 values are on, and which members keep clear of every kink."""
    gates: dict[int, np.ndarray] = {}
    batch = max(value.shape[0] for value in values)
    clear = np.ones(batch, dtype=bool)
    for position, instruction in enumerate(circuit.instructions):
        if instruction.kind not in ("max", "abs"):
            continue
        operands = [np.broadcast_to(values[index][:, 0], (batch,)) for index in instruction.operands]
        gates[position] = _choose(instruction.kind, [operand[:, None] for operand in operands])
        if instruction.kind == "abs":
            clear &= np.abs(operands[0]) > KINK_MARGIN
        else:
            ordered = np.sort(np.stack(operands), axis=0)
            clear &= ordered[-1] - ordered[-2] > KINK_MARGIN
    return gates, clear


def _choose(kind: str, operands: list[np.ndarray]) -> np.ndarray:
    bodies = np.broadcast_arrays(*(operand[:, 0] for operand in operands))
    return np.asarray((bodies[0] > 0).astype(np.int64) if kind == "abs" else np.argmax(np.stack(bodies), axis=0))


def _power_taylor(exponent: Any, algebra: TruncatedAlgebra) -> Taylor:
    def taylor(body: np.ndarray, order: int) -> list[np.ndarray]:
        coefficients = []
        for j in range(order + 1):
            binomial = algebra.number(sp.binomial(exponent, j))
            if binomial == 0:
                coefficients.append(np.zeros_like(body))
            else:
                coefficients.append(algebra.reduce(binomial * algebra.power_of_body(body, exponent - j)))
        return coefficients

    return taylor


@lru_cache(maxsize=256)
def _derivatives(function: Any, order: int) -> Callable[[np.ndarray], Any]:
    z = sp.Symbol("z", real=True)
    return sp.lambdify(z, sp.diff(function(z), z, order) / sp.factorial(order), modules=["scipy", "numpy"])


def _function_taylor(function: Any) -> Taylor:
    def taylor(body: np.ndarray, order: int) -> list[np.ndarray]:
        return [_derivatives(function, j)(body) + np.zeros_like(body) for j in range(order + 1)]

    return taylor


def _derivative(taylor: Taylor, algebra: TruncatedAlgebra) -> Taylor:
    def derived(body: np.ndarray, order: int) -> list[np.ndarray]:
        return [algebra.reduce((j + 1) * value) for j, value in enumerate(taylor(body, order + 1)[1:])]

    return derived
