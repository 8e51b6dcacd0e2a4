"""What a generated function costs without a compiler: how often it runs over the entries of its tensors."""

from __future__ import annotations

import ast
from collections.abc import Iterable

POWER = 15
"""A power that torch has no quick kernel for, in passes; measured, one thread, float32."""

QUICK_EXPONENTS = (2, 3)


def count_passes(source: str) -> int:
    """Passes over memory of the elementwise operations in the body of one function, in eager torch.

    Every tensor operation is one pass; a number over a tensor is two, a reciprocal and a product. Operations among
    numbers, and with the argument ``t`` alone, which has one entry for a batch, are free.
    """
    function = ast.parse(source).body[0]
    assert isinstance(function, ast.FunctionDef)
    counter = _Counter()
    for statement in function.body:
        counter.statement(statement)
    return counter.passes


class _Counter:
    def __init__(self) -> None:
        self.passes = 0
        self.small = {"t"}

    def statement(self, statement: ast.stmt) -> None:
        if isinstance(statement, ast.Assign):
            is_tensor = self.value(statement.value)
            names = {node.id for node in ast.walk(statement.targets[0]) if isinstance(node, ast.Name)}
            if not is_tensor:
                self.small |= names
        elif isinstance(statement, ast.Return) and statement.value is not None:
            self.value(statement.value)

    def value(self, node: ast.expr) -> bool:
        """Whether the expression is a tensor with many entries; its operations are counted on the way."""
        if isinstance(node, ast.BinOp):
            left, right = self.value(node.left), self.value(node.right)
            if left or right:
                self.passes += self._binary(node, left)
            return left or right
        if isinstance(node, ast.UnaryOp):
            operand = self.value(node.operand)
            self.passes += operand
            return operand
        if isinstance(node, ast.Call):
            return self._call(node)
        if isinstance(node, ast.Subscript):
            return self.value(node.value)
        if isinstance(node, ast.Name):
            return node.id not in self.small
        if isinstance(node, ast.Tuple | ast.Dict):
            entries = node.elts if isinstance(node, ast.Tuple) else node.values
            return self._any(entries)
        return False

    def _any(self, nodes: Iterable[ast.expr]) -> bool:
        """Whether one of them is a tensor; all are looked at, so that all are counted."""
        found = [self.value(node) for node in nodes]
        return any(found)

    def _call(self, node: ast.Call) -> bool:
        arguments = list(node.args)
        is_method = isinstance(node.func, ast.Attribute) and not _is_torch(node.func.value)
        if isinstance(node.func, ast.Attribute) and is_method:
            arguments.append(node.func.value)
        is_tensor = self._any(arguments)
        self.passes += is_tensor
        return is_tensor

    def _binary(self, node: ast.BinOp, left: bool) -> int:
        if isinstance(node.op, ast.Pow):
            quick = isinstance(node.right, ast.Constant) and node.right.value in QUICK_EXPONENTS
            return 1 if quick else POWER
        return 1 if left or not isinstance(node.op, ast.Div) else 2


def _is_torch(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "torch"
