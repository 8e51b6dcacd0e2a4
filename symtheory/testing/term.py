"""A node on the way to a random graph, with what must be known about it to keep the graph well defined."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from symtheory.graph.node import Node
from symtheory.testing.arrays import LARGEST, SMALLEST
from symtheory.testing.declared_function import bound_shape


@dataclass(frozen=True)
class Term:
    """node: the node; moves: whether it depends on a parameter.

    bound, low: no entry is larger, or smaller, in absolute value at points as ``points`` draws them; alive: whether the
    entries along an axis cannot all be equal (those of a relu can all be zero); related: whether the entries along some
    axis obey a law, such as those of a softmax, which add up to one, so that another sum or norm could be a constant.
    """

    node: Node
    moves: bool
    bound: float = LARGEST
    low: float = 0.0
    alive: bool = True
    related: bool = False

    @cached_property
    def shape(self) -> tuple[int, ...]:
        return bound_shape(self.node.shape)

    def into(self, node: Node, bound: float | None = None, **facts: bool | float) -> Term:
        """The same facts about another node, but for those given; ``low`` is 0 unless it is given."""
        kept = self.bound if bound is None else bound
        return replace(self, node=node, bound=kept, **{"low": 0.0, **facts})  # type: ignore[arg-type]


def leaf(node: Node, moves: bool) -> Term:
    """A parameter, which moves, or an input or a constant, with entries as ``points`` and ``data`` draw them."""
    return Term(node, moves, low=SMALLEST)
