"""A module cut down to the functions that somebody asks for, with what these call."""

from __future__ import annotations

import ast
from collections.abc import Collection

from symtheory.errors import CodegenError
from symtheory.generation.assembly import Assembly


def keep_only(assembly: Assembly, wanted: Collection[str], owner: str) -> None:
    """Keep the functions wanted and those they call, directly or through each other; nothing counts as left out.

    Raises ``CodegenError`` for a name that the module of this owner has no function of.
    """
    for name in wanted:
        if name in assembly.omitted:
            raise CodegenError(f"'{owner}' has no '{name}': {assembly.omitted[name]}")
        if name not in assembly.sources:
            raise CodegenError(f"'{owner}' has no '{name}': it has {', '.join(assembly.sources)}")
    kept, waiting = set[str](), list(wanted)
    while waiting:
        name = waiting.pop()
        if name not in kept:
            kept.add(name)
            waiting += _named_in(assembly.sources[name]) & assembly.sources.keys()
    assembly.sources = {name: text for name, text in assembly.sources.items() if name in kept}
    assembly.omitted = {}


def _named_in(source: str) -> set[str]:
    """The names that code reads or writes; words of its docstrings are none."""
    return {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}
