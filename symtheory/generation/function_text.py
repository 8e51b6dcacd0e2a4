"""Source text of a function whose statements and docstring are written already."""

from __future__ import annotations

from collections.abc import Sequence

from symtheory.codegen.layout import INDENT, LINE_LENGTH
from symtheory.codegen.paragraph import fold_entry, fold_paragraph


def function_text(
    name: str,
    arguments: Sequence[str],
    returned: str,
    summary: str,
    middle: Sequence[str],
    entries: Sequence[str],
    returns: str,
    source: str,
    lines: Sequence[str],
) -> str:
    """A function of dicts: signature, docstring with a part in the middle, arguments and result, statements."""
    signature = f"def {name}({', '.join(f'{a}: dict[str, Tensor]' for a in arguments)}) -> {returned}:"
    if len(signature) > LINE_LENGTH:
        items = [f"{INDENT}{a}: dict[str, Tensor]," for a in arguments]
        signature = "\n".join([f"def {name}(", *items, f") -> {returned}:"])
    docstring = [
        *fold_paragraph(f'"""{summary}', INDENT),
        "",
        *middle,
        *([""] if middle else []),
        f"{INDENT}Args:",
        *(line for entry in entries for line in fold_entry(entry)),
        f"{INDENT}Returns:",
        *fold_entry(returns),
        *(["", f"{INDENT}Source: {source}."] if source else []),
        f'{INDENT}"""',
    ]
    return "\n".join([signature, *docstring, *lines]) + "\n"
