"""A function that does once what does not depend on the argument of the function that it returns."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence

from symtheory.codegen.layout import INDENT, LINE_LENGTH, fold_statement
from symtheory.codegen.paragraph import fold_paragraph


def split_by_dependency(lines: Sequence[str], argument: str) -> tuple[list[str], list[str]]:
    """Statements that do not depend on an argument, and, one level deeper, those that do, directly or through others.

    lines: assignments of the body of a function, indented, with comments on lines of their own.
    """
    body = "\n".join(["def function():", *lines])
    dependent = {argument}
    before: list[str] = []
    inside: list[str] = []
    done = 1
    (function,) = ast.parse(body).body
    assert isinstance(function, ast.FunctionDef)
    for statement in function.body:
        assert statement.end_lineno is not None  # parsed from text
        chunk = list(lines[done - 1 : statement.end_lineno - 1])
        done = statement.end_lineno
        names = [node for node in ast.walk(statement) if isinstance(node, ast.Name)]
        if any(node.id in dependent for node in names if isinstance(node.ctx, ast.Load)):
            dependent |= {node.id for node in names if isinstance(node.ctx, ast.Store)}
            inside += _indented(chunk)
        else:
            before += chunk
    return before, inside


def _indented(lines: Sequence[str]) -> list[str]:
    """A statement with its comments one level deeper, folded again where that makes a line too long."""
    deeper = [INDENT + line if line else line for line in lines]
    if all(len(line) <= LINE_LENGTH for line in deeper):
        return deeper
    comments = [line for line in lines if line.lstrip().startswith("#")]
    folded = [part for line in comments for part in fold_paragraph(line.strip(), 2 * INDENT, "# ")]
    target, _, expression = _joined(lines[len(comments) :]).partition(" = ")
    if expression.startswith("(") and _closes_at_end(expression):
        expression = expression[1:-1]
    return folded + fold_statement(f"{target} = ", expression, 2 * INDENT)


def _closes_at_end(text: str) -> bool:
    """Whether the bracket that a text starts with is closed by its last character."""
    depth = 0
    for place, character in enumerate(text):
        depth += (character in "([{") - (character in ")]}")
        if depth == 0:
            return place == len(text) - 1
    return False


def _joined(lines: Sequence[str]) -> str:
    """A statement that was folded over several lines, on one."""
    text = " ".join(line.strip() for line in lines)
    return re.sub(r",? ([)\]}])", r"\1", re.sub(r"([(\[{]) ", r"\1", text))


def closure_source(name: str, argument: str, summary: str, lines: Sequence[str], result: Sequence[str]) -> str:
    """Source of ``name(point)``, which returns a function of one dict; result: the lines of its return statement."""
    before, inside = split_by_dependency(lines, argument)
    returned = "Callable[[dict[str, Tensor]], dict[str, Tensor]]"
    return (
        "\n".join(
            [
                f"def {name}(",
                f"{INDENT}point: dict[str, Tensor],",
                f") -> {returned}:",
                f'{INDENT}"""{summary}"""',
                *before,
                "",
                f"{INDENT}def apply({argument}: dict[str, Tensor]) -> dict[str, Tensor]:",
                *inside,
                *(INDENT + line for line in result),
                "",
                f"{INDENT}return apply",
            ]
        )
        + "\n"
    )
