"""Torch source of modified losses and of the fields that a finite step follows, for a loss given as a function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sympy as sp

from symtheory.codegen.layout import fold_statement
from symtheory.codegen.statements import Statements, function_source, point_entry
from symtheory.graph.shapes import Shape

LOSS_ENTRY = "loss: function of a point that returns the loss of every point, ``(*batch)``."
MEAN_ENTRY = "losses: function of a point that returns the losses of all batches B, ``(batches, *batch)``."
SIGNATURE = "{name}({loss}: Callable[[dict[str, Tensor]], Tensor], point: dict[str, Tensor], eta: float)"


def render_loss(name: str, factor: sp.Expr, parameters: Mapping[str, Shape], source: str) -> str:
    """L + c η ‖∇L‖² with the given c."""
    lines = [
        "    gradient = torch.func.grad(lambda moved: loss(moved).sum())(point)",
        *fold_statement("square = ", squares(parameters)),
        f"    return loss(point) + {_number(factor)} * eta * square",
    ]
    summary = "Loss whose gradient flow gradient descent follows to order eta**2."
    return _tensor_function(name, "loss", summary, LOSS_ENTRY, parameters, lines, source)


def render_mean_loss(name: str, factor: sp.Expr, parameters: Mapping[str, Shape], source: str) -> str:
    """The mean over batches of L_B + c η ‖∇L_B‖²."""
    lines = [
        "    gradient = torch.func.jacrev(lambda moved: losses(moved).flatten(1).sum(1))(point)",
        *fold_statement("square = ", squares(parameters)),
        f"    return (losses(point) + {_number(factor)} * eta * square).mean(0)",
    ]
    summary = "Loss whose gradient flow the mean of a shuffled epoch follows to order eta**2."
    return _tensor_function(name, "losses", summary, MEAN_ENTRY, parameters, lines, source)


def render_mean_field(name: str, potential: str, parameters: Mapping[str, Shape], source: str) -> str:
    """−∇ of the function of that name."""
    lines = [
        f"    slope = torch.func.grad(lambda moved: {potential}(losses, moved, eta).sum())(point)",
        "    return {name: -leaf for name, leaf in slope.items()}",
    ]
    summary = "Velocity dθ/dt that the mean of a shuffled epoch follows, with terms up to eta."
    entries = [MEAN_ENTRY, point_entry(parameters), "eta: step, a number."]
    signature = SIGNATURE.format(name=name, loss="losses")
    return function_source(signature, summary, entries, "dict with the keys and shapes of point.", lines, source)


def render_field(name: str, series: Sequence[Mapping], parameters: Mapping[str, Shape], source: str) -> str:
    """Σ η^j f_j for f = −∇L, with f_j given as a series of elementary differentials (trees)."""
    body = Statements(("loss", "point", "eta"))
    body.lines += [
        "",
        "    def field(moved: dict[str, Tensor]) -> dict[str, Tensor]:",
        "        slope = torch.func.grad(lambda place: loss(place).sum())(moved)",
        "        return {name: -leaf for name, leaf in slope.items()}",
        "",
        "    def along(",
        "        inner: Callable[[dict[str, Tensor]], dict[str, Tensor]], direction: dict[str, Tensor]",
        "    ) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:",
        "        # The Jacobian of a gradient is symmetric: times a direction it is a gradient as well.",
        "        def product(moved: dict[str, Tensor]) -> Tensor:",
        "            return sum((leaf * direction[name]).sum() for name, leaf in inner(moved).items())",
        "",
        "        return torch.func.grad(product)",
        "",
    ]
    known: dict[tuple, str] = {}
    terms = []
    for power, fields in enumerate(series):
        for tree, weight in fields.items():
            value = _differential(body, known, tree)
            step = "" if power == 0 else f"{_number(weight)} * eta{f'**{power}' if power > 1 else ''} * "
            terms.append(f"{step}{value}[name]")
    body.lines.append("    return {")
    body.lines += fold_statement("name: ", " + ".join(terms), "        ")
    body.lines += ["        for name in point", "    }"]
    entries = [LOSS_ENTRY, point_entry(parameters), "eta: step, a number."]
    highest = "eta" if len(series) == 2 else f"eta**{len(series) - 1}"
    summary = f"Velocity dθ/dt that gradient descent follows, with terms up to {highest}."
    signature = SIGNATURE.format(name=name, loss="loss")
    return function_source(signature, summary, entries, "dict with the keys and shapes of point.", body.lines, source)


def squares(parameters: Mapping[str, Shape]) -> str:
    """Sum of the squares of the gradient over all axes of the parameters."""
    terms = []
    for name, shape in parameters.items():
        axes = tuple(range(-len(shape), 0))
        summed = f".sum(dim={axes})" if axes else ""
        terms.append(f'gradient["{name}"].square(){summed}')
    return " + ".join(terms)


def _differential(body: Statements, known: dict[tuple, str], tree: tuple) -> str:
    """The variable that holds the elementary differential of a tree at the point."""
    if tree not in known:
        inner = "field"
        for branch in tree:
            inner = f"along({inner}, {_differential(body, known, branch)})"
        known[tree] = body.assign(body.names.unique(f"term_{len(known) + 1}"), f"{inner}(point)")
    return known[tree]


def _number(value: sp.Expr) -> str:
    return str(value) if value.is_Integer else f"({value.p} / {value.q})"


def _tensor_function(
    name: str,
    loss: str,
    summary: str,
    entry: str,
    parameters: Mapping[str, Shape],
    lines: Sequence[str],
    source: str,
) -> str:
    entries = [entry, point_entry(parameters), "eta: step, a number."]
    text = function_source(
        SIGNATURE.format(name=name, loss=loss), summary, entries, "tensor ``(*batch)``.", lines, source
    )
    return text.replace(") -> dict[str, Tensor]:", ") -> Tensor:", 1)
