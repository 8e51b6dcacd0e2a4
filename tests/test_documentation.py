"""What the pages of the documentation print is true: their code runs from top to bottom and gives what they show."""

from __future__ import annotations

import doctest
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"
BLOCK = re.compile(r"^\.\. code-block:: (python|pycon)\n\n((?:(?:   .*)?\n)+)", re.MULTILINE)


@pytest.mark.parametrize("page", ["symmetry", "geometry", "predictions", "sharpness"])
def test_the_page_shows_what_its_code_prints(page: str) -> None:
    text = (DOCS / f"{page}.rst").read_text(encoding="utf-8")
    names: dict[str, Any] = {"__name__": page}
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    for found in BLOCK.finditer(text):
        kind, source = found.group(1), textwrap.dedent(found.group(2))
        if kind == "python":
            exec(source, names)
        else:
            line = text[: found.start(2)].count("\n")
            test = doctest.DocTestParser().get_doctest(source, names, page, f"{page}.rst", line)
            runner.run(test, clear_globs=False)
            names |= test.globs
    assert runner.tries > 0
    assert not runner.failures
