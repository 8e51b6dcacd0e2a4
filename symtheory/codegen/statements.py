"""Source of a function that is written statement by statement."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import sympy as sp

from symtheory.codegen.docstring import shape_text
from symtheory.codegen.layout import INDENT, LINE_LENGTH, fold_statement
from symtheory.codegen.naming import Names
from symtheory.codegen.paragraph import fold_entry, fold_paragraph
from symtheory.codegen.size_source import axes_of, size_lines
from symtheory.errors import CodegenError
from symtheory.graph.shapes import Shape


@dataclass
class Statements:
    """Statements of one function of a dict of parameters, and the names of its variables.

    arguments: names of the function's arguments; sizes: those symbolic sizes that its source may name; source: the
    dict that holds the parameters.
    """

    arguments: Sequence[str]
    sizes: Sequence[sp.Symbol] = ()
    source: str = "point"
    lines: list[str] = field(default_factory=list)
    parameters: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.names = Names({*self.arguments, *map(str, self.sizes)})

    def parameter(self, name: str) -> str:
        if name not in self.parameters:
            self.parameters[name] = self.names.unique(name)
        return self.parameters[name]

    def read(self, name: str) -> str:
        """The variable of a parameter, unpacked from the point at its first use."""
        if name not in self.parameters:
            self.assign(self.parameter(name), f'{self.source}["{name}"]')
        return self.parameters[name]

    def assign(self, variable: str, source: str) -> str:
        self.lines += fold_statement(f"{variable} = ", source)
        return variable

    def read_sizes(self, needed: Collection[sp.Symbol], tensors: Mapping[str, Shape], owner: str) -> None:
        """Give sizes that the source names their values; tensors: source → shape, what they are read off.

        Raises ``CodegenError``, naming the owner, for a size that no axis tells, or that is called as an argument.
        """
        taken = sorted({str(size) for size in needed} & set(self.arguments))
        if taken:
            raise CodegenError(f"the size '{taken[0]}' of '{owner}' is called as an argument: bind({taken[0]}=…) first")
        self.lines += [INDENT + line for line in size_lines(needed, axes_of(tensors), owner)]

    def return_entries(self, entries: Mapping[str, str]) -> None:
        """The last statement: a dict, given as key → source."""
        items = [f'"{key}": {source}' for key, source in entries.items()]
        line = f"{INDENT}return {{{', '.join(items)}}}"
        if len(line) <= LINE_LENGTH:
            self.lines.append(line)
            return
        folded = [
            part for key, source in entries.items() for part in fold_statement(f'"{key}": ', source, 2 * INDENT, ",")
        ]
        self.lines += [f"{INDENT}return {{", *folded, f"{INDENT}}}"]


def point_tensors(parameters: Mapping[str, Shape]) -> dict[str, Shape]:
    """Source that reads each parameter out of a point → its shape."""
    return {f'point["{name}"]': shape for name, shape in parameters.items()}


def point_entry(parameters: Mapping[str, Shape]) -> str:
    """What a point is, for the list of arguments."""
    shapes = ", ".join(f'"{name}" {shape_text(shape)}' for name, shape in parameters.items())
    return f"point: dict with {shapes}."


def function_source(
    signature: str,
    summary: str,
    entries: Sequence[str],
    returns: str,
    lines: Sequence[str],
    source: str = "",
    returned: str = "dict[str, Tensor]",
) -> str:
    """A function that returns what ``returned`` says; entries: what its arguments are, one entry each."""
    docstring = [
        *fold_paragraph(f'"""{summary}', INDENT),
        "",
        f"{INDENT}Args:",
        *(line for entry in entries for line in fold_entry(entry)),
        f"{INDENT}Returns:",
        *fold_entry(returns),
        *(["", f"{INDENT}Source: {source}."] if source else []),
        f'{INDENT}"""',
    ]
    return "\n".join([*_definition(signature, returned), *docstring, *lines]) + "\n"


def _definition(signature: str, returned: str) -> list[str]:
    line = f"def {signature} -> {returned}:"
    if len(line) <= LINE_LENGTH:
        return [line]
    name, _, arguments = signature.removesuffix(")").partition("(")
    # Types have commas too: an argument starts where a name with a colon follows.
    items = [f"{INDENT}{argument}," for argument in re.split(r", (?=\w+:)", arguments)]
    return [f"def {name}(", *items, f") -> {returned}:"]
