"""Render formulas as MathML while the documentation is built: browsers draw it without scripts."""

from __future__ import annotations

import re
from html import escape
from typing import Any

from docutils import nodes
from latex2mathml import exceptions
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

logger = logging.getLogger(__name__)

# What latex2mathml raises on LaTeX that it cannot parse; its own errors share no base class.
ERROR_CLASSES = (value for value in vars(exceptions).values() if isinstance(value, type))
PARSE_ERRORS = (ValueError, IndexError, *(error for error in ERROR_CLASSES if issubclass(error, Exception)))
# What it leaves behind, without an error, where it does not know a command or an environment.
NOT_UNDERSTOOD = re.compile(r"<m[io]>(\\[^<]*|&(?:amp;)?)</m[io]>|<mo\s*/>")


def to_mathml(latex: str, node: nodes.Node, display: str) -> str:
    """MathML of a formula; a warning, so a failed build, where the formula would not be shown as written."""
    try:
        mathml = convert(latex, display=display)
    except PARSE_ERRORS as error:
        logger.warning("formula cannot be parsed: %s (%r)", latex, error, location=node)
        return f"<code>{escape(latex)}</code>"
    if match := NOT_UNDERSTOOD.search(mathml):
        logger.warning("formula has no MathML at %s: %s", match.group(), latex, location=node)
    return mathml


def visit_inline(self: HTML5Translator, node: nodes.math) -> None:
    """A formula within a line of text."""
    self.body.append(to_mathml(node.astext(), node, "inline"))
    raise nodes.SkipNode


def visit_block(self: HTML5Translator, node: nodes.math_block) -> None:
    """Formulas on lines of their own; a blank line parts two, two backslashes break one into lines."""
    self.body.append(self.starttag(node, "div", CLASS="math"))
    for latex in re.split(r"\n\s*\n", node.astext().strip()):
        if r"\\" in latex and r"\begin" not in latex:
            latex = rf"\begin{{split}}{latex}\end{{split}}"
        self.body.append(to_mathml(latex, node, "block"))
    self.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Offer the renderer to Sphinx under the name ``mathml``."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
