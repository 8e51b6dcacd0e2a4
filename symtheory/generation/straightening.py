"""The torch functions that go to straightened coordinates, where no shift has to be made up for, and back."""

from __future__ import annotations

from collections.abc import Mapping

from symtheory.codegen.node_source import node_source
from symtheory.codegen.statements import Statements, function_source, point_entry, point_tensors
from symtheory.errors import CodegenError
from symtheory.geometry.matrix.model import MatrixModel
from symtheory.graph.operations.leaf import Constant
from symtheory.graph.shapes import Shape
from symtheory.graph.subgraph import nodes_below

STRAIGHTEN, BEND = "_straighten", "_bend"


def render_straightening(model: MatrixModel, parameters: Mapping[str, Shape], owner: str) -> dict[str, str]:
    """Sources of ``_straighten(point)`` and of its inverse ``_bend(point)``.

    A parameter Q that changes by c(t) when P is shifted by t becomes Q − c(P), one after the other. Raises
    ``CodegenError`` where a change depends on a constant, which these functions do not take.
    """
    return {
        STRAIGHTEN: _render(model, parameters, owner, back=False),
        BEND: _render(model, parameters, owner, back=True),
    }


def _render(model: MatrixModel, parameters: Mapping[str, Shape], owner: str, *, back: bool) -> str:
    body = Statements(
        ("point",), sorted({s for shape in parameters.values() for z in shape for s in z.free_symbols}, key=str)
    )
    nodes = [node for made_up in model.straightening for node in nodes_below(made_up.change)]
    leaves = {made_up.leaf.operation for made_up in model.straightening}
    if any(isinstance(node.operation, Constant) and node.operation not in leaves for node in nodes):
        raise CodegenError("what makes up for a shift depends on a constant: no generated geometry")
    needed = {size for node in nodes for size in node.operation.needed_sizes()}
    body.read_sizes(needed, point_tensors(parameters), owner)
    current: dict[str, str] = {}
    for made_up in model.straightening:
        shifted = made_up.shifted
        # Back again, the change is taken at the straightened value of what is shifted, as on the way there.
        value = body.read(shifted) if back else current.get(shifted, body.read(shifted))
        change = node_source(made_up.change, body, made_up.leaf, value)
        own = current.get(made_up.parameter, body.read(made_up.parameter))
        wish = f"{'bent' if back else 'straight'}_{made_up.parameter}"
        current[made_up.parameter] = body.assign(body.names.unique(wish), f"{own} {'+' if back else '-'} {change}")
    entries = ", ".join(f'"{name}": {variable}' for name, variable in current.items())
    body.lines.append(f"    return {{**point, {entries}}}")
    summary = (
        "The point of which ``_straighten`` made this one."
        if back
        else "The point in coordinates in which every shift of the group moves its own parameter alone."
    )
    return function_source(
        f"{BEND if back else STRAIGHTEN}(point: dict[str, Tensor])",
        summary,
        [point_entry(parameters)],
        "dict with the keys and shapes of point.",
        body.lines,
    )
