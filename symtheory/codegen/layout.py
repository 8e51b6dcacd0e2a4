"""Line breaks: a statement that is too long is folded at its brackets and operators, as formatters do."""

from __future__ import annotations

import re

LINE_LENGTH = 100
INDENT = "    "
OPERATORS = ((" | ",), (" & ",), (" + ", " - "), (" * ", " / ", " @ "))
"""Binary operators with the spaces that the printer puts around them, loosest first."""

OPENING = re.compile(r"\(|(?<![\w)\]])\[")
"""What can be opened: parentheses, and brackets that are no subscript."""


def fold_statement(prefix: str, expression: str, indent: str = INDENT, suffix: str = "") -> list[str]:
    """Lines of ``prefix`` + ``expression`` + ``suffix``, at most LINE_LENGTH long where possible."""
    line = f"{indent}{prefix}{expression}{suffix}"
    if len(line) <= LINE_LENGTH:
        return [line]
    pieces = _split(expression, OPERATORS)
    if len(pieces) > 1:
        inner = [folded for piece in pieces for folded in _fold_piece(piece, indent + INDENT)]
        return [f"{indent}{prefix}(", *inner, f"{indent}){suffix}"]
    return _explode(prefix, expression, indent, suffix)


def _fold_piece(piece: str, indent: str) -> list[str]:
    """One operand with its operator; its own brackets are opened when it is still too long."""
    if len(indent) + len(piece) <= LINE_LENGTH:
        return [indent + piece]
    operator = re.match(r"(?:[-+*/@|&] )?", piece)
    head = operator.group() if operator else ""
    pieces = _split(piece[len(head) :], OPERATORS)
    if len(pieces) > 1:
        return [line for part in [head + pieces[0], *pieces[1:]] for line in _fold_piece(part, indent)]
    return _explode(head, piece[len(head) :], indent, "")


def _explode(prefix: str, expression: str, indent: str, suffix: str) -> list[str]:
    """Opens the first parentheses or list: what is inside goes on lines of its own."""
    found = OPENING.search(expression)
    if found is None:
        return [f"{indent}{prefix}{expression}{suffix}"]
    opening = found.start()
    closing = _closing(expression, opening)
    content = expression[opening + 1 : closing]
    arguments = _split(content, ((", ",),))
    if len(arguments) > 1:
        items = [argument.removeprefix(", ") for argument in arguments]
        inner = [line for item in items for line in fold_statement("", item, indent + INDENT, ",")]
    else:
        pieces = _split(content, OPERATORS)
        inner = [line for piece in pieces for line in _fold_piece(piece, indent + INDENT)]
    return [f"{indent}{prefix}{expression[: opening + 1]}", *inner, f"{indent}{expression[closing:]}{suffix}"]


def _closing(text: str, opening: int) -> int:
    depth = 0
    for index in range(opening, len(text)):
        depth += (text[index] in "([{") - (text[index] in ")]}")
        if depth == 0:
            return index
    raise ValueError(f"unbalanced brackets in generated source: {text}")


def _split(text: str, operators: tuple[tuple[str, ...], ...]) -> list[str]:
    """Operands at bracket depth 0 of the loosest operator present, each with its operator in front."""
    for group in operators:
        cuts, depth = [], 0
        for index, character in enumerate(text):
            depth += (character in "([{") - (character in ")]}")
            if depth == 0 and text[index : index + len(group[0])] in group:
                cuts.append(index)
        if cuts:
            ends = [*cuts, len(text)]
            heads = [text[: cuts[0]]]
            return heads + [text[start:end].strip(" ") for start, end in zip(cuts, ends[1:], strict=True)]
    return [text]
