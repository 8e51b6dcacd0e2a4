"""Let docstrings write shapes and absolute values plainly: ``(*batch, n)`` and ``|w|`` are no markup."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from sphinx.application import Sphinx

LITERAL_OR_ROLE = re.compile(r"(``.*?``|(?::[\w:]+:)?`[^`]*`)")
STAR_OF_A_SHAPE = re.compile(r"(?<=[(\s,])\*(?=\w+[,)])")
BAR = re.compile(r"(?<!\\)\|")


def escape(text: str) -> str:
    """The line with stars of shapes and bars escaped, literals and formulas left as they are."""
    parts = LITERAL_OR_ROLE.split(text)
    parts[::2] = [BAR.sub(r"\\|", STAR_OF_A_SHAPE.sub(r"\\*", part)) for part in parts[::2]]
    return "".join(parts)


def escaped_lines(lines: list[str]) -> Iterator[str]:
    """All lines escaped but those indented under a directive or under a paragraph that ends in two colons."""
    block_indent: int | None = None
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if line.strip() and block_indent is not None and indent <= block_indent:
            block_indent = None
        if block_indent is None and (line.lstrip().startswith(".. ") or line.rstrip().endswith("::")):
            block_indent = indent
        yield escape(line) if block_indent is None else line


def process_docstring(_app: Sphinx, _kind: str, _name: str, _of: object, _options: Any, lines: list[str]) -> None:
    """Change the lines of one docstring in place, as autodoc asks."""
    lines[:] = list(escaped_lines(lines))


def setup(app: Sphinx) -> dict[str, Any]:
    """Run after napoleon, which turns sections into field lists."""
    app.connect("autodoc-process-docstring", process_docstring, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
