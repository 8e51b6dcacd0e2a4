"""One torch function as source text: named arguments in, a tensor or a dict of tensors out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import sympy as sp

from symtheory.codegen.arguments import Argument
from symtheory.codegen.body import FunctionBody
from symtheory.codegen.docstring import render_docstring, shape_text
from symtheory.codegen.layout import INDENT, LINE_LENGTH


@dataclass(frozen=True)
class TorchFunction:
    """What a generated function is called, takes, computes and says of itself.

    ``results`` is one expression (the function returns a tensor) or a mapping from keys to expressions (it
    returns a dict of tensors). Expressions are scalars of the elementwise calculus, where every symbol stands
    for a whole tensor, or matrix expressions. ``sum_axes`` sums every result over that many logical axes,
    counted from the last. ``returns`` describes the result; ``source`` names where the formula comes from;
    ``checks`` are statements that come first.

    Rendering raises ``CodegenError`` for a function without torch source, for an unbound symbol,
    and for a result that is undefined.
    """

    name: str
    arguments: tuple[Argument, ...]
    results: sp.Basic | Mapping[str, sp.Basic]
    summary: str
    sum_axes: int = 0
    returns: str = ""
    source: str = ""
    checks: tuple[str, ...] = ()

    @property
    def body(self) -> FunctionBody:
        return FunctionBody(self.arguments, self.results, self.sum_axes)

    def render(self) -> str:
        """Source text of the function, ending in a newline; the same on every run."""
        body = self.body
        return (
            "\n".join(
                [*self.signature(), *self._docstring(body), *(INDENT + check for check in self.checks), *body.lines()]
            )
            + "\n"
        )

    def signature(self) -> list[str]:
        """The ``def`` line, one argument per line when it is long."""
        items = [f"{argument.name}: {argument.annotation}{argument.default}" for argument in self.arguments]
        returned = "dict[str, Tensor]" if isinstance(self.results, Mapping) else "Tensor"
        line = f"def {self.name}({', '.join(items)}) -> {returned}:"
        if len(line) <= LINE_LENGTH:
            return [line]
        return [f"def {self.name}(", *(f"{INDENT}{item}," for item in items), f") -> {returned}:"]

    def _docstring(self, body: FunctionBody) -> list[str]:
        results = self.results
        named = (
            {f'result["{key}"]': expression for key, expression in results.items()}
            if isinstance(results, Mapping)
            else {self.name: results}
        )
        return render_docstring(
            self.summary,
            named,
            body.names,
            self.arguments,
            returns=self.returns or _default_returns(results),
            formula_title=_formula_title(body.is_matrix, self.sum_axes),
            scalar_shape=shape_text(()) if body.is_matrix else "that broadcasts against the others",
            same_batch=body.is_matrix,
            source=self.source,
        )


def render_imports(sources: Iterable[str]) -> str:
    """The import lines that the given function sources need; ``import torch`` only when one uses it."""
    texts = list(sources)
    uses_torch = any("torch." in source for source in texts)
    lines = ["from __future__ import annotations", ""]
    types = [name for name in ("Callable", "Sequence") if any(f"{name}[" in source for source in texts)]
    if types:
        lines += [f"from collections.abc import {', '.join(types)}", ""]
    if uses_torch:
        lines.append("import torch")
    return "\n".join([*lines, "from torch import Tensor"]) + "\n"


def _default_returns(results: sp.Basic | Mapping[str, sp.Basic]) -> str:
    if isinstance(results, Mapping):
        return "dict with " + ", ".join(f'"{key}"' for key in results) + "."
    return "tensor."


def _formula_title(is_matrix: bool, sum_axes: int) -> str:
    if sum_axes:
        axes = "the last axis" if sum_axes == 1 else f"the last {sum_axes} axes"
        return f"Formula, per coordinate, summed over {axes}"
    return "Formula" if is_matrix else "Formula, per coordinate"
