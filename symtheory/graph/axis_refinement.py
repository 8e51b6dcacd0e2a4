"""Axes of a whole graph: which are one index, and which a reshape splits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from symtheory.graph.axis_links import RESULT, End
from symtheory.graph.computation_graph import ComputationGraph
from symtheory.graph.layout import Layout
from symtheory.graph.node import Node
from symtheory.graph.shapes import Shape, same_size

Axis = tuple[Node, int]


class AxisRefinement:
    """A layout for every node of a graph, so that every reshape that can only regroups places.

    ``layouts``: node → layout; ``indices``: node → for each place a number that is the same wherever the same index
    runs.
    """

    def __init__(self, graph: ComputationGraph) -> None:
        self._parent: dict[Axis, Axis] = {}
        self._split: dict[Axis, tuple[Axis, ...]] = {}
        for node in graph.nodes:
            shapes = [operand.shape for operand in node.operands]
            for link in node.operation.linked_axes(shapes, node.shape):
                self._tie(self._axes(node, link.left), self._axes(node, link.right))
        places = {
            node: [self._places(axis, node.shape[axis[1]]) for axis in self._axes_of(node)] for node in graph.nodes
        }
        self.layouts = {
            node: Layout(tuple(tuple(size for _, size in axis) for axis in axes)) for node, axes in places.items()
        }
        numbers: dict[Axis, int] = {}
        self.indices = {
            node: tuple(numbers.setdefault(root, len(numbers)) for axis in axes for root, _ in axis)
            for node, axes in places.items()
        }

    def in_common_order(self, places: Sequence[tuple[Node, Iterable[int]]]) -> list[tuple[int, ...]]:
        """Equally many places of several nodes, in the order of the indices that run along those of the first one.

        Places along which one index runs keep their own order.
        """
        first, leading = places[0]
        indices = [self.indices[first][place] for place in sorted(leading)]
        return [self._matched(node, sorted(own), indices) for node, own in places]

    def _matched(self, node: Node, left: list[int], indices: Sequence[int]) -> tuple[int, ...]:
        matched = []
        for index in indices:
            place = next((place for place in left if self.indices[node][place] == index), left[0])
            left.remove(place)
            matched.append(place)
        return tuple(matched)

    @staticmethod
    def _axes(node: Node, ends: Sequence[End]) -> tuple[Axis, ...]:
        return tuple((node if end.operand == RESULT else node.operands[end.operand], end.axis) for end in ends)

    @staticmethod
    def _axes_of(node: Node) -> list[Axis]:
        return [(node, axis) for axis in range(node.rank)]

    def _root(self, axis: Axis) -> Axis:
        while axis in self._parent:
            axis = self._parent[axis]
        return axis

    def _tie(self, left: Sequence[Axis], right: Sequence[Axis]) -> None:
        if len(left) == len(right) == 1:
            self._unite(left[0], right[0])
        elif len(left) == 1:
            self._divide(left[0], tuple(right))
        else:
            self._divide(right[0], tuple(left))

    def _unite(self, left: Axis, right: Axis) -> None:
        first, second = self._root(left), self._root(right)
        if first == second:
            return
        parts = self._split.pop(second, None)
        self._parent[second] = first
        if parts is not None:
            self._divide(first, parts)

    def _divide(self, whole: Axis, parts: tuple[Axis, ...]) -> None:
        """The axis is a product of these; where it is split in another way already, this split stays apart."""
        root = self._root(whole)
        known = self._split.setdefault(root, parts)
        if known is not parts and len(known) == len(parts) and all(map(same_size, _sizes(known), _sizes(parts))):
            for first, second in zip(known, parts, strict=True):
                self._unite(first, second)

    def _places(self, axis: Axis, size: object) -> list[tuple[Axis, object]]:
        root = self._root(axis)
        if root not in self._split:
            return [(root, size)]
        return [place for part in self._split[root] for place in self._places(part, part[0].shape[part[1]])]


def _sizes(axes: Sequence[Axis]) -> Shape:
    return tuple(node.shape[axis] for node, axis in axes)
