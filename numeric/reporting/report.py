"""The HTML report: one file with everything inside, from a plain record."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jinja2

from numeric.errors import CheckError
from numeric.files import write_whole
from numeric.reporting.embedding import data_uri
from numeric.reporting.graph_image import graph_uri
from numeric.reporting.highlight import highlight_css, highlighted
from numeric.reporting.mathml import formula
from numeric.reporting.wording import SIGNS, number, predicted

METRICS = {
    "christoffel_mathml": "Christoffel symbols that differ from zero",
    "definitions_mathml": "with",
    "projection_mathml": "Horizontal projection",
    "equations_mathml": "Horizontal projection: ξ minus the field of the solution of",
    "geodesic_mathml": "Geodesics",
}


class Missing(jinja2.StrictUndefined):
    """A key that the record leaves out: false in a condition, an error where its value is needed."""

    def __bool__(self) -> bool:  # type: ignore[override]
        return False


def write_report(record: Mapping[str, Any], path: Path) -> Path:
    """Write the report of `record` to `path`, one HTML file without scripts or network; returns the path.

    record: {"title", "intro", "environment": {name: value}, "summary": [verdicts], "parametrizations":
    [...]}. A parametrization has "name" and, as far as they are known, "summary", "declaration", "graph",
    "symmetry", "geometry", "predictions", "not_applicable", "generated_source", "verdicts". Verdicts are
    `Verdict.to_json()` records, in the summary with "parametrization", in a section with "figures": [path,
    ...] and "caption". Formulas are presentation MathML (keys ending in _mathml, a string or a list of
    strings). All other text is escaped. Raises CheckError for a record without title or with a formula that
    is not MathML, StoreError for a figure that cannot be read. The file appears whole or not at all.
    """
    try:
        page = _environment().get_template("report.html.j2").render(record=record)
    except jinja2.UndefinedError as error:
        raise CheckError(f"the report's record is incomplete: {error}; see write_report for its keys") from error
    return write_whole(Path(path), page)


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("numeric.reporting", "templates"),
        autoescape=True,
        undefined=Missing,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "formulas": formulas,
        "code": highlighted,
        "embed": data_uri,
        "graph": graph_uri,
        "number": number,
        "predicted": predicted,
        "anchor": anchor,
        "words": lambda name: name.replace("_", " "),
    }
    environment.globals |= {"signs": SIGNS, "metric_parts": METRICS, "highlight_css": highlight_css()}
    return environment


def formulas(text: str | Iterable[str] | None) -> list[Any]:
    """One formula or several as checked MathML; none for an empty text."""
    if not text:
        return []
    return [formula(entry) for entry in ([text] if isinstance(text, str) else text) if entry]


def anchor(name: str) -> str:
    """The identifier of a parametrization's section, for links within the page."""
    return "p-" + re.sub(r"[^A-Za-z0-9_]+", "-", str(name)).strip("-")
