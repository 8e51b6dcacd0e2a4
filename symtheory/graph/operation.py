"""The contract of one operation: everything the toolkit may ever ask about a node of the graph.

An operation is a small frozen dataclass. It knows its shape rule, its SymPy meaning in the calculi where it has
one, its torch meaning, its equivariance (which changes of basis pass through it) and its infinitesimal rule. To add
an operation is to add one such class; nothing else in the toolkit branches on its name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import sympy as sp

from symtheory.errors import CalculusError
from symtheory.graph.action import TRIVIAL, Action, ActionSystem, Fate, permutations_in, without_permutations
from symtheory.graph.axis_links import Link, same_axes
from symtheory.graph.layout import Layout
from symtheory.graph.shapes import Shape, broadcast

if TYPE_CHECKING:
    # At run time numpy is imported where arrays are made: deriving at symbolic size does without it, and starts sooner.
    import numpy as np

    from symtheory.graph.node import Node


class Operation(ABC):
    """One kind of node. Operands come in order; ``tangents[i] is None`` means that operand ``i`` does not move."""

    name: ClassVar[str]

    @property
    def label(self) -> str:
        """What is written into the node when the graph is drawn."""
        return self.name

    @abstractmethod
    def shape(self, operands: Sequence[Shape]) -> Shape:
        """Shape of the result; raises ``ShapeError`` when the operands do not fit."""

    @abstractmethod
    def components(self, *operands: np.ndarray) -> np.ndarray:
        """SymPy meaning in explicit components: object arrays of SymPy expressions in, one out."""

    def scalar(self, *operands: sp.Expr) -> sp.Expr:
        """SymPy meaning on one coordinate; only operations that act coordinate by coordinate have one."""
        raise CalculusError(f"operation '{self.name}' mixes coordinates: it has no elementwise meaning")

    def matrix(self, *operands: Any) -> Any:
        """SymPy meaning as a matrix expression at symbolic size."""
        raise CalculusError(f"operation '{self.name}' has no matrix-expression meaning: bind small sizes instead")

    @abstractmethod
    def torch(self, operands: Sequence[str], shapes: Sequence[Shape]) -> str:
        """Torch source of the result; the tensors named in ``operands`` carry leading batch dimensions."""

    def equivariance(
        self, system: ActionSystem, actions: Sequence[Action], layouts: Sequence[Layout], result: Layout
    ) -> Action:
        """Action on the result given the actions on the operands; what does not pass is constrained in ``system``.

        An operation that does not override this stops every action, and the group found counts as a lower bound.
        """
        if any(actions):
            system.blocked_by.append(f"{self.name} (no equivariance is declared for it)")
        for action in actions:
            system.forbid(action)
        return TRIVIAL

    def translate(
        self, node: Node, shifts: Sequence[Node | None], sums: Sequence[Mapping[int, sp.Expr]]
    ) -> Node | Fate:
        """What becomes of a shift δz of the operands: the shift of the result, or that it vanishes or is forbidden.

        node: the node itself; shifts: for every operand the shift as a node, None where the operand does not move,
        with size 1 on the axes along which the shift is the same; sums: ``known_sums`` of the operands. Linear
        operations and those that remove a shift override it.
        """
        return Fate.FORBIDDEN

    def known_sums(self, node: Node, sums: Sequence[Mapping[int, sp.Expr]]) -> Mapping[int, sp.Expr]:
        """Axis of the result (counted from the end) → the number to which the entries along it always add up."""
        return {}

    def linked_axes(self, shapes: Sequence[Shape], result: Shape) -> Iterator[Link]:
        """Axes of operands and result that are one index."""
        return iter(())

    @abstractmethod
    def tangent(self, operands: Sequence[Node], tangents: Sequence[Node | None], result: Node) -> Node | None:
        """Infinitesimal rule: the derivative of the result along ``tangents``, as nodes of the graph."""

    def adjoint(
        self, place: int, cotangent: str, operands: Sequence[str], shapes: Sequence[Shape], result: Shape
    ) -> str | None:
        """Torch source of the adjoint in operand ``place`` of an operation that is linear in each of its operands.

        ⟨cotangent, f(…, ξ, …)⟩ = ⟨adjoint, ξ⟩ for every ξ in that place. operands: names of their
        tensors, "" for one that is itself such a ξ and has no value; all carry the same leading batch dimensions,
        over which nothing is summed. None for an operation that is not
        linear, whose adjoint is that of its infinitesimal rule, or that says what it contracts.
        """
        return None

    def contraction(self, shapes: Sequence[Shape]) -> tuple[str, str, str] | None:
        """Letters of the axes of both operands and of the result, for a product that sums over those it leaves out."""
        return None

    def needed_sizes(self) -> set[sp.Symbol]:
        """Symbolic sizes whose values the torch source reads; only operations that store sizes override it."""
        return set()

    def bind(self, sizes: Mapping[sp.Symbol, int]) -> Operation:
        """The same operation with symbolic sizes replaced; only operations that store sizes override it."""
        return self


class Elementwise(Operation):
    """An operation that acts coordinate by coordinate on operands of equal rank.

    One with a single operand lets permutations pass, whatever else it does.
    """

    def shape(self, operands: Sequence[Shape]) -> Shape:
        return broadcast(operands)

    def components(self, *operands: np.ndarray) -> np.ndarray:
        import numpy as np

        return np.asarray(np.frompyfunc(self.scalar, len(operands), 1)(*operands), dtype=object)

    def equivariance(
        self, system: ActionSystem, actions: Sequence[Action], layouts: Sequence[Layout], result: Layout
    ) -> Action:
        passed = super().equivariance(system, [without_permutations(action) for action in actions], layouts, result)
        if len(actions) == 1:
            return {**passed, **permutations_in(actions[0])}
        for action in actions:
            system.forbid(permutations_in(action))
        return passed

    def linked_axes(self, shapes: Sequence[Shape], result: Shape) -> Iterator[Link]:
        yield from same_axes(shapes, result)

    @abstractmethod
    def scalar(self, *operands: sp.Expr) -> sp.Expr: ...
