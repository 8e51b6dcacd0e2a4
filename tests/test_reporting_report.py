"""The report: one file with everything inside, escaped, whole or not at all; and the table of verdicts."""

from __future__ import annotations

import io
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from rich.table import Table

from numeric.comparison import Verdict
from numeric.errors import CheckError, StoreError
from numeric.reporting import verdict_records, verdict_table, write_figure, write_report
from numeric.reporting.mathml import formula
from numeric.reporting.wording import number

EVIL = "<script>alert('x')</script> & \"quotes\""
VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """Collects tags, attributes and text; fails on tags that do not close in order."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data

    def values(self, attribute: str) -> list[str]:
        return [value or "" for name, value in self.attributes if name == attribute]


def verdict(outcome: str = "confirmed", mechanism: str = "mirror", **more: Any) -> dict[str, Any]:
    return Verdict(mechanism, outcome, 1.0, 1.25, 0.5, 0.5, 1200, "fixed test", more).to_json()  # type: ignore[arg-type]


@pytest.fixture
def figure(tmp_path: Path) -> Path:
    data = {"steps": np.arange(20), "residual": {"run": np.full(20, 1e-16)}, "tolerance": 1e-10}
    return write_figure("residual", data, tmp_path / "figure")


@pytest.fixture
def record(figure: Path) -> dict[str, Any]:
    fraction = "<mfrac><mn>1</mn><mi>u</mi></mfrac>"
    nodes = [
        {"id": "u", "label": "u", "kind": "parameter", "shape": ["d"]},
        {"id": "w", "label": "u * u", "kind": "output", "shape": ["d"]},
    ]
    return {
        "title": "A report & its <title>",
        "intro": "First paragraph.\n\nSecond paragraph.",
        "environment": {"torch": "2.13.0", "commit": None},
        "summary": [
            {**verdict("confirmed"), "parametrization": "square net"},
            {**verdict("refuted"), "parametrization": "square net"},
            {**verdict("inconclusive"), "parametrization": "square net"},
        ],
        "parametrizations": [
            {
                "name": "square net",
                "summary": "w = u * u",
                "declaration": "P = st.Parametrization(u * u, name='square')",
                "graph": {"nodes": nodes, "edges": [["u", "w"], ["u", "w"]]},
                "symmetry": [
                    {
                        "kind": "sign",
                        "lives_on": "u",
                        "dimension": 0,
                        "generators_mathml": [],
                        "charge_mathml": None,
                    }
                ],
                "geometry": [
                    {
                        "metric": "invariant",
                        "matrix_mathml": fraction,
                        "invariant": "not asked",
                        "christoffel_mathml": [fraction, fraction],
                        "projection_mathml": fraction,
                        "geodesic_mathml": [],
                        "notes": ["a note"],
                    }
                ],
                "predictions": [
                    {
                        "mechanism": "weight_decay",
                        "title": "Weight decay",
                        "statement_mathml": [fraction],
                        "assumptions": [{"text": "small step", "checkable": True}],
                        "order": "exact",
                        "measure": None,
                        "source": "Kunin et al. 2012.04728",
                    }
                ],
                "not_applicable": [{"mechanism": "discrete_noether", "reason": "no continuous symmetry"}],
                "generated_source": "def predictor(point):\n    return point['u'] ** 2  # a < b\n",
                "verdicts": [
                    {**verdict("inconclusive", reason="too noisy"), "figures": [str(figure)], "caption": "Seen."}
                ],
            }
        ],
    }


def written(record: dict[str, Any], folder: Path) -> tuple[str, Page]:
    source = write_report(record, folder / "report.html").read_text(encoding="utf-8")
    return source, Page(source)


def test_everything_in_the_record_stands_in_the_page(record: dict[str, Any], tmp_path: Path) -> None:
    _, page = written(record, tmp_path)
    text = " ".join(page.text.split())
    for words in (
        "A report & its <title>",
        "Second paragraph.",
        "2.13.0",
        "unknown",
        "✓ confirmed",
        "✗ refuted",
        "? inconclusive",
        "u * u, name='square'",
        "not asked",
        "a note",
        "weight decay",
        "small step",
        "Kunin et al. 2012.04728",
        "no continuous symmetry",
        "# a < b",
        "1.25 ± 0.5",
        "1,200",
        "fixed test",
        "too noisy",
        "Seen.",
    ):
        assert words in text, words
    assert page.tags.count("math") == 5
    assert page.tags.count("img") == 2
    assert all(page.values("alt"))


def test_page_needs_nothing_from_outside(record: dict[str, Any], tmp_path: Path) -> None:
    source, page = written(record, tmp_path)
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert all(value.startswith("data:image/svg+xml;base64,") for value in page.values("src"))
    assert all(value.startswith("#") for value in page.values("href"))
    assert "url(" not in source and "@import" not in source


def test_links_within_the_page_lead_somewhere(record: dict[str, Any], tmp_path: Path) -> None:
    _, page = written(record, tmp_path)
    names = page.values("id")
    assert len(names) == len(set(names))
    assert {value.removeprefix("#") for value in page.values("href")} <= set(names)


def replaced(value: Any, key: str = "") -> Any:
    """The record with every free text made hostile."""
    fixed = {"kind", "verdict", "figures", "id", "shape", "predicted", "measured", "n", "z", "standard_error"}
    if isinstance(value, dict):
        return {k: v if k in fixed or k.endswith("_mathml") else replaced(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [replaced(entry, key) for entry in value if key != "edges"] or value
    return EVIL if isinstance(value, str) else value


def test_text_is_escaped_everywhere(record: dict[str, Any], tmp_path: Path) -> None:
    source, page = written(replaced(record), tmp_path)
    assert "<script" not in source
    assert "script" not in page.tags
    assert page.text.count("<script>alert('x')</script>") > 10


def test_a_short_record_makes_a_short_page(tmp_path: Path) -> None:
    _, page = written({"title": "Only a title"}, tmp_path)
    assert page.text.count("Only a title") == 2
    _, page = written({"title": "T", "parametrizations": [{"name": "bare"}]}, tmp_path)
    assert "bare" in page.text


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"title": None}, CheckError, "incomplete"),
        ({"parametrizations": [{"summary": "no name"}]}, CheckError, "incomplete.*name"),
        (
            {"parametrizations": [{"name": "P", "verdicts": [{**verdict(), "figures": ["/nowhere.svg"]}]}]},
            StoreError,
            "nowhere.svg",
        ),
        (
            {"parametrizations": [{"name": "P", "verdicts": [{**verdict(), "figures": ["figure.pdf"]}]}]},
            StoreError,
            "neither SVG nor PNG",
        ),
    ],
)
def test_bad_records_are_named_and_leave_the_old_report(
    change: dict[str, Any], error: type[Exception], words: str, tmp_path: Path
) -> None:
    place = write_report({"title": "old"}, tmp_path / "report.html")
    before = place.read_bytes()
    bad = {key: value for key, value in ({"title": "new"} | change).items() if value is not None}
    with pytest.raises(error, match=words):
        write_report(bad, place)
    assert place.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_formulas_are_cleaned() -> None:
    assert formula("<mi>u</mi>") == '<math display="block"><mi>u</mi></math>'
    assert formula("<math xmlns='http://www.w3.org/1998/Math/MathML'><mi>u</mi></math>", "inline") == (
        '<math display="inline"><mi>u</mi></math>'
    )
    assert "\u2062" in formula("<mi>u</mi><mo>&InvisibleTimes;</mo><mi>v</mi>")
    assert "&lt;" in formula("<mi>u</mi><mo>&lt;</mo><mi>v</mi>")
    assert "\N{MINUS SIGN}" in formula("<mo>-</mo><mi>u</mi>")
    assert '<mi mathvariant="normal">e</mi>' in formula("<mi>&ExponentialE;</mi>")
    fenced = formula("<mfenced open='[' close=']'><mi>a</mi><mi>b</mi></mfenced>")
    assert "<mrow><mo>[</mo><mi>a</mi><mo>,</mo><mi>b</mi><mo>]</mo></mrow>" in fenced
    assert "onclick" not in formula("<mi onclick='alert(1)' mathvariant='bold'>u</mi>")


@pytest.mark.parametrize(
    "text",
    [
        "<mi>u</mi",
        "<mi>u</mi><script>alert(1)</script>",
        "<mtext><img src='x' onerror='alert(1)'/></mtext>",
        "</math><p>out</p><math>",
        "<mi>&nosuchentity;</mi>",
    ],
)
def test_what_is_no_formula_is_refused(text: str) -> None:
    with pytest.raises(CheckError, match="formula"):
        formula(text)


def test_numbers_for_readers() -> None:
    assert [number(x) for x in (None, 20000, 1.23456, -1e-15, 0.0)] == ["–", "20,000", "1.235", "−1e−15", "0"]


def printed(table: Table) -> str:
    """The table as it comes out of a pipe."""
    file = io.StringIO()
    Console(width=120, file=file).print(table)
    return file.getvalue()


def test_table_says_the_same_without_colour() -> None:
    outcomes = ("confirmed", "refuted", "inconclusive")
    rows = [verdict(outcome) | {"parametrization": "[bold]P"} for outcome in outcomes]
    text = printed(verdict_table(rows, title="Verdicts"))
    for words in ("✓ confirmed", "✗ refuted", "? inconclusive", "[bold]P", "1.25", "1,200", "Verdicts"):
        assert words in text
    assert "parametrization" not in printed(verdict_table([verdict()]))


def test_records_for_json() -> None:
    keys = ["mechanism", "verdict", "predicted", "measured", "standard_error", "z", "n"]
    records = json.loads(json.dumps(verdict_records([verdict()])))
    assert [list(row) for row in records] == [keys]
