"""A bound graph as a straight-line program of scalar operations, from the SymPy meaning of its nodes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import sympy as sp

from symtheory.errors import CertificateError
from symtheory.graph.computation_graph import ComputationGraph
from symtheory.graph.node import Node
from symtheory.graph.operations.leaf import Constant, Input, Leaf, Parameter


@dataclass(frozen=True)
class Instruction:
    """One scalar operation: ``parameter``, ``input``, ``constant``, ``number``, ``add``, ``multiply``, ``power``,
    ``function``, ``abs`` or ``max``; operands are positions of earlier instructions, value what the kind needs."""

    kind: str
    operands: tuple[int, ...] = ()
    value: object = None


@dataclass(frozen=True)
class Circuit:
    """Instructions in order, positions of the predictor's entries, and names of the parameters' entries."""

    instructions: tuple[Instruction, ...]
    outputs: tuple[int, ...]
    parameter_names: tuple[str, ...]
    input_count: int
    constant_count: int

    @cached_property
    def is_exact(self) -> bool:
        """Whether everything is rational or piecewise rational, so that it can be evaluated modulo a prime."""
        for instruction in self.instructions:
            if instruction.kind == "function":
                return False
            if instruction.kind == "power" and not instruction.value.is_Integer:  # type: ignore[attr-defined]
                return False
            if instruction.kind == "number" and not instruction.value.is_Rational:  # type: ignore[attr-defined]
                return False
        return True

    @cached_property
    def has_gates(self) -> bool:
        return any(instruction.kind in ("abs", "max") for instruction in self.instructions)

    @cached_property
    def depends_on_parameters(self) -> tuple[bool, ...]:
        depends: list[bool] = []
        for instruction in self.instructions:
            depends.append(instruction.kind == "parameter" or any(depends[index] for index in instruction.operands))
        return tuple(depends)


def compile_circuit(graph: ComputationGraph) -> Circuit:
    """The circuit of a bound graph; ``CertificateError`` for a SymPy function of several arguments it cannot split."""
    return _Compiler(graph).circuit


class _Compiler:
    def __init__(self, graph: ComputationGraph) -> None:
        self.instructions: list[Instruction] = []
        self.positions: dict[sp.Expr, int] = {}
        self.counts = {Parameter: 0, Input: 0, Constant: 0}
        self.names: list[str] = []
        values: dict[Node, np.ndarray] = graph.fold(self._visit)
        self.circuit = Circuit(
            tuple(self.instructions),
            tuple(int(position) for position in values[graph.predictor].ravel()),
            tuple(self.names),
            self.counts[Input],
            self.counts[Constant],
        )

    def _visit(self, node: Node, operands: list[np.ndarray]) -> np.ndarray:
        operation = node.operation
        if isinstance(operation, Leaf):
            return self._leaf(operation)
        meaning = operation.components(*(_symbols(operand) for operand in operands))
        try:
            return np.asarray(np.vectorize(self._position, otypes=[np.int64])(meaning))
        except CertificateError as error:
            raise CertificateError(f"operation '{operation.name}': {error}") from None

    def _leaf(self, leaf: Leaf) -> np.ndarray:
        entries = leaf.components()
        kind = next(kind for kind in self.counts if isinstance(leaf, kind))
        if kind is Parameter:
            self.names += [str(entry) for entry in entries.ravel()]
        positions = np.empty(entries.shape, dtype=np.int64)
        for index in np.ndindex(entries.shape):
            positions[index] = self._append(Instruction(kind.name, value=self.counts[kind]))
            self.counts[kind] += 1
        return positions

    def _append(self, instruction: Instruction) -> int:
        self.instructions.append(instruction)
        return len(self.instructions) - 1

    def _position(self, expression: sp.Expr) -> int:
        expression = sp.sympify(expression)
        if isinstance(expression, _Slot):
            return expression.position
        if expression not in self.positions:
            self.positions[expression] = self._append(self._translate(expression))
        return self.positions[expression]

    def _translate(self, expression: sp.Expr) -> Instruction:
        if expression.is_number:
            return Instruction("number", value=expression)
        if expression.is_Add:
            return Instruction("add", self._all(expression.args))
        if expression.is_Mul:
            head, *tail = expression.args
            rest = sp.Mul(*tail, evaluate=False) if len(tail) > 1 else tail[0]
            return Instruction("multiply", self._all((head, rest)))
        if expression.is_Pow and expression.exp.is_Rational:
            return Instruction("power", self._all((expression.base,)), expression.exp)
        if isinstance(expression, sp.Max):
            return Instruction("max", self._all(expression.args))
        if isinstance(expression, sp.Abs):
            return Instruction("abs", self._all(expression.args))
        if isinstance(expression, sp.Function) and len(expression.args) == 1:
            return Instruction("function", self._all(expression.args), expression.func)
        raise CertificateError(f"the certificate has no rule for {type(expression).__name__}: {expression}")

    def _all(self, expressions: tuple[sp.Expr, ...]) -> tuple[int, ...]:
        return tuple(self._position(expression) for expression in expressions)


class _Slot(sp.Symbol):
    """A real symbol that stands for an earlier instruction."""

    position: int

    @staticmethod
    def of(position: int) -> _Slot:
        slot = _Slot(f"s{position}", real=True)
        slot.position = position
        return slot


def _symbols(positions: np.ndarray) -> np.ndarray:
    symbols = np.empty(positions.shape, dtype=object)
    for index in np.ndindex(positions.shape):
        symbols[index] = _Slot.of(int(positions[index]))
    return symbols
