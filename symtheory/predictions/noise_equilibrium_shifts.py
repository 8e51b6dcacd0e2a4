"""Torch source of shifts in an action on arrays: what they change, and what they take from gradients.

A shift is affine in the point, θ ↦ θ + a t + N(t) θ: biases make up for what it does behind weights. Its linear part
takes weights to biases alone, so that N N = 0, and a gradient moves along by g ↦ g − N(t)ᵀ g, exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from symtheory.codegen.layout import INDENT, fold_statement
from symtheory.codegen.node_source import node_source
from symtheory.codegen.statements import Statements, function_source, point_entry, point_tensors
from symtheory.graph.operations.leaf import Constant
from symtheory.graph.shapes import Shape
from symtheory.graph.subgraph import nodes_below, parameters_below
from symtheory.predictions.noise_equilibrium_names import (
    COUNT,
    FIELDS,
    MOVE,
    MOVE_GRADIENTS,
    POSITION,
    SHIFTED,
    SIGNS,
    SOURCE,
    TAKEN,
    TRANSPOSED,
)
from symtheory.symmetry.group import SymmetryGroup
from symtheory.symmetry.translation import Translation


def affine_shifts(group: SymmetryGroup) -> list[Translation]:
    """The shifts of a group, less those made up for through constants, or through what another shift moves."""
    shifts = [factor for factor in group if isinstance(factor, Translation)]
    moved = {name for shift in shifts for name in shift.shapes}
    return [shift for shift in shifts if not _constants(shift) and not _weights(shift) & moved]


def involved(shift: Translation) -> set[str]:
    """The parameters that a shift moves, and the weights that tell by how much."""
    return set(shift.shapes) | _weights(shift)


def is_made_up(shift: Translation) -> bool:
    """Whether biases behind weights make up for it, so that it has no charge and takes from gradients."""
    return bool(_weights(shift))


def _weights(shift: Translation) -> set[str]:
    return {name for node in shift.compensation.values() for name in parameters_below(node)}


def _constants(shift: Translation) -> set[str]:
    nodes = [node for root in shift.compensation.values() for node in nodes_below(root)]
    return {
        str(node.operation.identifier)
        for node in nodes
        if isinstance(node.operation, Constant) and node.operation != shift.leaf.operation
    }


@dataclass(frozen=True)
class ShiftSources:
    """shifts: those of the action; parameters: of the graph; moved: parameters of the action's vectors; owner: name."""

    shifts: Sequence[Translation]
    parameters: Mapping[str, Shape]
    moved: Mapping[str, Shape]
    owner: str

    def texts(self) -> dict[str, Callable[[], str]]:
        """Function name → what makes its source; ``CodegenError`` there for a size that no tensor tells."""
        texts = {COUNT: self._count, SHIFTED: self._shifted}
        if self._made_up:
            texts |= {TAKEN: self._taken, TRANSPOSED: self._transposed, MOVE_GRADIENTS: self._move_gradients}
            texts[POSITION] = self._position
        return texts

    @property
    def _made_up(self) -> list[Translation]:
        return [shift for shift in self.shifts if is_made_up(shift)]

    def rows(self, body: Statements) -> str:
        """Source of the vector fields of all shifts as rows; the body has the parameters ``wide``."""
        like = body.read(self.shifts[0].parameter)
        units = f"torch.eye({COUNT}(point), dtype={like}.dtype, device={like}.device)"
        body.assign("shifted", f"{SHIFTED}(wide, {units})")
        body.assign("shifts", f"{COUNT}(point)")
        return stacked(body, "shifted", self.changed, self.moved, "shifts")

    def _count(self) -> str:
        body = Statements(("point",))
        terms = [" * ".join(self._sizes(shift, body.read(shift.parameter))) or "1" for shift in self.shifts]
        body.lines.append(f"{INDENT}return {' + '.join(terms)}")
        signature, summary = f"{COUNT}(point: dict[str, Tensor])", "Number of coordinates of all shifts."
        return function_source(signature, summary, [self._point], "number.", body.lines, SOURCE, "int")

    def _shifted(self) -> str:
        body = Statements(("point", "t"))
        nodes = [node for shift in self.shifts for root in shift.compensation.values() for node in nodes_below(root)]
        needed = {size for node in nodes for size in node.operation.needed_sizes()}
        body.read_sizes(needed, point_tensors(self.parameters), self.owner)
        terms: dict[str, list[str]] = {}
        start = "0"
        for shift in self.shifts:
            sizes = self._sizes(shift, body.read(shift.parameter))
            length = " * ".join(sizes) or "1"
            stop = body.assign(body.names.unique("stop"), length if start == "0" else f"{start} + {length}")
            part = f"t[..., {start}:{stop}].unflatten(-1, ({', '.join(sizes)},))" if sizes else f"t[..., {start}]"
            t = body.assign(body.names.unique(f"t_{shift.parameter}"), part)
            terms.setdefault(shift.parameter, []).append(t)
            for name, node in shift.compensation.items():
                terms.setdefault(name, []).append(node_source(node, body, shift.leaf, t))
            start = stop
        # zeros: with the axes of the point, which a shift does not have
        entries = {name: f"torch.zeros_like({body.read(name)}) + {' + '.join(sum_)}" for name, sum_ in terms.items()}
        body.return_entries(entries)
        return function_source(
            f"{SHIFTED}(point: dict[str, Tensor], t: Tensor)",
            "What shifts by t change, affine in the point; the coordinates of a shift are entries of its leaf.",
            [self._point, "t: tensor (*batch, shifts)."],
            "dict with the parameters that are shifted.",
            body.lines,
            SOURCE,
        )

    def _taken(self) -> str:
        weights = sorted({name for shift in self._made_up for name in _weights(shift)})
        read, shifted = (", ".join(f'"{name}"' for name in names) for names in (weights, self.changed))
        body = [
            f"{INDENT}def change(weights: dict[str, Tensor]) -> dict[str, Tensor]:",
            f"{2 * INDENT}return {SHIFTED}({{**gradients, **weights}}, t)",
            "",
            f"{INDENT}weights = {{key: gradients[key] for key in [{read}]}}",
            f"{INDENT}behind = {{key: gradients[key] for key in [{shifted}]}}",
            f"{INDENT}return torch.func.vjp(change, weights)[1](behind)[0]",
        ]
        return function_source(
            f"{TAKEN}(gradients: dict[str, Tensor], t: Tensor)",
            "N(t)ᵀ g of the linear part N of the shifts: what they take from the gradients of weights.",
            [self._gradients, "t: tensor (*batch, shifts), with no axes that the gradients do not have."],
            "dict with the weights by which shifts are made up for.",
            body,
            SOURCE,
        )

    def _position(self) -> str:
        body, parts = Statements(("point",)), []
        for shift in self._made_up:
            leaf, rank = body.read(shift.parameter), len(shift.leaf.shape)
            alike = [axis - rank for axis in shift.summed_axes]
            parts.append(flattened(f"{leaf}.mean({alike}, keepdim=True)" if alike else leaf, rank))
        body.lines += fold_statement("return ", f"torch.cat([{', '.join(parts)}], -1)")
        return function_source(
            f"{POSITION}(point: dict[str, Tensor])",
            "Where the parameters stand whose shifts are made up for: a shift by t adds t.",
            [self._point],
            "tensor (*batch, shifts that are made up for).",
            body.lines,
            SOURCE,
            "Tensor",
        )

    def _transposed(self) -> str:
        body = Statements(("gradients",), source="gradients")
        like = body.read(self.shifts[0].parameter)
        body.assign("count", f"{COUNT}(gradients)")
        body.assign("linear", f"-{SIGNS}(gradients).unsqueeze(-1) * {FIELDS}(gradients)")
        body.lines += widened("gradients", self.moved, "count")
        body.assign("taken", f"{TAKEN}(wide, torch.eye(count, dtype={like}.dtype, device={like}.device))")
        weights = {name for shift in self._made_up for name in _weights(shift)}
        rows = stacked(body, "taken", weights, self.moved, "count")
        kept = "linear[..., : linear.shape[-2] - count, :]"
        body.lines += fold_statement("return ", f"torch.cat([{kept}, {rows}], -2)")
        return function_source(
            f"{TRANSPOSED}(gradients: dict[str, Tensor])",
            "Aᵀ g for the linear part A of every generator.",
            [self._gradients],
            "tensor (*batch, generators, D).",
            body.lines,
            SOURCE,
            "Tensor",
        )

    def _move_gradients(self) -> str:
        body = Statements(("gradients", "t"))
        body.assign("taken", f"{TAKEN}(gradients, t[..., t.shape[-1] - {COUNT}(gradients) :])")
        body.assign("kept", "{name: gradients[name] - leaf for name, leaf in taken.items()}")
        body.lines.append(f"{INDENT}return {MOVE}({{**gradients, **kept}}, {SIGNS}(gradients) * t)")
        return function_source(
            f"{MOVE_GRADIENTS}(gradients: dict[str, Tensor], t: Tensor)",
            "Gradients of a function of the orbit, as they are where the point has moved by t.",
            [self._gradients, "t: tensor (*batch, generators), with no axes that the gradients do not have."],
            "dict with the keys and shapes of gradients.",
            body.lines,
            SOURCE,
        )

    @property
    def changed(self) -> list[str]:
        """The parameters that are shifted, in the order of the graph."""
        return [name for name in self.parameters if any(name in shift.shapes for shift in self.shifts)]

    @property
    def _point(self) -> str:
        return point_entry(self.parameters)

    @property
    def _gradients(self) -> str:
        return self._point.replace("point:", "gradients:", 1)

    def _sizes(self, shift: Translation, parameter: str) -> list[str]:
        """Sizes of a shift, read off its parameter: 1 along the axes where it is the same."""
        rank = len(shift.leaf.shape)
        return [f"{parameter}.shape[{axis - rank}]" if axis not in shift.summed_axes else "1" for axis in range(rank)]


def widened(source: str, moved: Mapping[str, Shape], count: str = "") -> list[str]:
    """Statement: a dict ``wide`` of the parameters with an axis for the generators, of size 1 or ``count``."""
    lines = []
    for name, shape in moved.items():
        axis = -1 - len(shape)
        repeated = f".repeat_interleave({count}, {axis})" if count else ""
        lines.append(f'{2 * INDENT}"{name}": {source}["{name}"].unsqueeze({axis}){repeated},')
    return [f"{INDENT}wide = {{", *lines, f"{INDENT}}}"]


def stacked(body: Statements, changes: str, changed: Iterable[str], moved: Mapping[str, Shape], count: str) -> str:
    """Variable of fields as rows; the dict ``changes`` has leaves (*batch, count, *shape) for those that change, and
    ``wide`` has the others with an axis of size 1 or ``count`` there."""
    changed, parts = set(changed), []
    for name, shape in moved.items():
        source = flattened(f'{changes}["{name}"]', len(shape))
        if name not in changed:
            nothing = flattened(f'torch.zeros_like(wide["{name}"])', len(shape))
            source = f"{nothing}[..., :1, :].repeat_interleave({count}, -2)"
        parts.append(body.assign(body.names.unique(f"along_{name}"), source))
    return body.assign(body.names.unique("rows"), f"torch.cat([{', '.join(parts)}], -1)")


def flattened(tensor: str, rank: int) -> str:
    """Source of the last ``rank`` axes as one."""
    return tensor if rank == 1 else f"{tensor}.unsqueeze(-1)" if rank == 0 else f"{tensor}.flatten({-rank})"
