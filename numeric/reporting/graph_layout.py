"""Where the nodes of a computation graph stand: layers by longest path, few crossings, no overlaps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from numeric.errors import CheckError

Node = Hashable
Edge = tuple[str, str]
SWEEPS = 12
SPACE_OF_A_PASSING_EDGE = 0.6  # relative to the room that a node takes


@dataclass(frozen=True)
class GraphLayout:
    """layer: column of each node, sources left and the sink right; height: vertical place in units of one
    node; routes: for each edge the (layer, height) points it passes, ends included; multiplicity: parallel
    edges."""

    layer: dict[str, int]
    height: dict[str, float]
    routes: dict[Edge, list[tuple[int, float]]]
    multiplicity: dict[Edge, int]


def layout(nodes: Sequence[str], edges: Sequence[Edge]) -> GraphLayout:
    """Lay out a directed acyclic graph from left to right.

    CheckError for a cycle, a node named twice or an edge to a node that is not there.
    """
    if len(set(nodes)) < len(nodes):
        raise CheckError("two nodes of the graph record have the same id; give each its own")
    for edge in edges:
        for end in edge:
            if end not in set(nodes):
                raise CheckError(f"an edge names node {end!r}, which the graph record does not list")
    multiplicity = dict(Counter(edges))
    layer = _layers(nodes, multiplicity)
    chains = {edge: _chain(edge, layer) for edge in multiplicity}
    columns = _columns(nodes, layer, chains)
    neighbours = _neighbours(chains)
    _order(columns, neighbours)
    height = _heights(columns, neighbours)
    routes = {edge: [(_layer_of(p, layer), height[p]) for p in chain] for edge, chain in chains.items()}
    return GraphLayout(layer, {n: height[n] for n in nodes}, routes, multiplicity)


def _layers(nodes: Sequence[str], edges: Mapping[Edge, int]) -> dict[str, int]:
    """Longest path to a sink, counted from the left: a source stands just before its first user."""
    successors: dict[str, list[str]] = {n: [] for n in nodes}
    for source, target in edges:
        successors[source].append(target)
    depth: dict[str, int] = {}
    left = set(nodes)
    while left:
        ready = [n for n in nodes if n in left and all(s in depth for s in successors[n])]
        if not ready:
            raise CheckError(f"the graph has a cycle through {', '.join(sorted(left))}; remove one of its edges")
        for n in ready:
            depth[n] = max((depth[s] + 1 for s in successors[n]), default=0)
        left -= set(ready)
    deepest = max(depth.values(), default=0)
    return {n: deepest - depth[n] for n in nodes}


def _chain(edge: Edge, layer: Mapping[str, int]) -> list[Node]:
    """The edge's ends with one place holder in every layer between them, so that it bends around nodes."""
    source, target = edge
    between = range(layer[source] + 1, layer[target])
    return [source, *((source, target, column) for column in between), target]


def _layer_of(node: Node, layer: Mapping[str, int]) -> int:
    return int(node[2]) if isinstance(node, tuple) else layer[str(node)]


def _columns(nodes: Sequence[str], layer: Mapping[str, int], chains: Mapping[Edge, list[Node]]) -> list[list[Node]]:
    columns: list[list[Node]] = [[] for _ in range(max(layer.values(), default=0) + 1)]
    for n in nodes:
        columns[layer[n]].append(n)
    for chain in chains.values():
        for place in chain[1:-1]:
            columns[_layer_of(place, layer)].append(place)
    return columns


def _neighbours(chains: Mapping[Edge, list[Node]]) -> dict[Node, tuple[list[Node], list[Node]]]:
    """(left, right) neighbours of every node and place holder."""
    neighbours: dict[Node, tuple[list[Node], list[Node]]] = {}
    for chain in chains.values():
        for before, after in pairwise(chain):
            neighbours.setdefault(before, ([], []))[1].append(after)
            neighbours.setdefault(after, ([], []))[0].append(before)
    return neighbours


def _order(columns: list[list[Node]], neighbours: Mapping[Node, tuple[list[Node], list[Node]]]) -> None:
    """Reduce crossings: sort every column by the mean rank of its neighbours, to and fro."""
    for sweep in range(SWEEPS):
        side = sweep % 2  # first from the left neighbours, then from the right ones
        for column in columns if side == 0 else reversed(columns):
            rank = {node: k for other in columns for k, node in enumerate(other)}
            means = {}
            for node in column:
                near = neighbours.get(node, ([], []))[side]
                means[node] = sum(rank[x] for x in near) / len(near) if near else float(rank[node])
            column.sort(key=means.__getitem__)


def _heights(columns: list[list[Node]], neighbours: Mapping[Node, tuple[list[Node], list[Node]]]) -> dict[Node, float]:
    """Heights near the mean of all neighbours, at least one node's room apart within a column."""
    height = {node: k - (len(c) - 1) / 2 for c in columns for k, node in enumerate(c)}
    for sweep in range(SWEEPS):
        for column in columns if sweep % 2 == 0 else reversed(columns):
            wanted = []
            for node in column:
                near = [x for side in neighbours.get(node, ([], [])) for x in side]
                wanted.append(sum(height[x] for x in near) / len(near) if near else height[node])
            height |= dict(zip(column, _apart(column, wanted), strict=True))
    return height


def _apart(column: list[Node], wanted: list[float]) -> list[float]:
    """Heights in the given order, far enough apart: the mean of pushing upward and pushing downward."""
    room = [SPACE_OF_A_PASSING_EDGE if isinstance(node, tuple) else 1.0 for node in column]
    gaps = [(a + b) / 2 for a, b in pairwise(room)]
    up, down = list(wanted), list(wanted)
    for k, gap in enumerate(gaps):
        up[k + 1] = max(up[k + 1], up[k] + gap)
    for k, gap in reversed(list(enumerate(gaps))):
        down[k] = min(down[k], down[k + 1] - gap)
    return [(a + b) / 2 for a, b in zip(up, down, strict=True)]
