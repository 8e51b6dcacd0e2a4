"""Prose of generated docstrings, folded to the length of a line."""

from __future__ import annotations

from textwrap import wrap

from symtheory.codegen.layout import INDENT, LINE_LENGTH


def fold_paragraph(text: str, indent: str = "", hanging: str = "") -> list[str]:
    """Lines of a paragraph that starts after ``indent``; its further lines get ``hanging`` in addition."""
    return wrap(
        text,
        LINE_LENGTH,
        initial_indent=indent,
        subsequent_indent=indent + hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )


def fold_entry(text: str) -> list[str]:
    """An entry of a section such as Args, in a docstring of a function."""
    return fold_paragraph(text, 2 * INDENT, INDENT)
