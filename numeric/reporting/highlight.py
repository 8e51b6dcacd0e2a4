"""Python source with coloured syntax, as HTML that needs no script."""

from __future__ import annotations

from markupsafe import Markup
from pygments import highlight  # type: ignore[import-untyped]
from pygments.formatters import HtmlFormatter  # type: ignore[import-untyped]
from pygments.lexers import PythonLexer  # type: ignore[import-untyped]

# A light style whose contrast on white is made for accessibility.
FORMATTER = HtmlFormatter(style="default", cssclass="code", wrapcode=True)


def highlighted(source: str) -> Markup:
    """`source` (Python) as a highlighted, escaped block."""
    return Markup(highlight(source, PythonLexer(), FORMATTER))  # pygments escapes the source


def highlight_css() -> Markup:
    """The style sheet that `highlighted` needs."""
    return Markup(FORMATTER.get_style_defs(".code"))
