"""Verdicts for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from numeric.reporting.wording import SIGNS, number, predicted

COLOURS = {"confirmed": "green", "refuted": "bold red", "inconclusive": "yellow"}


def verdict_table(verdicts: Iterable[Mapping[str, Any]], title: str | None = None) -> Table:
    """A rich table of `Verdict.to_json()` records, one row each; a column for "parametrization" where they
    have it.

    Outcomes carry a sign and a word besides the colour, so that the table reads the same in a pipe.
    """
    rows = list(verdicts)
    named = any("parametrization" in row for row in rows)
    table = Table(title=title, title_justify="left", header_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    if named:
        table.add_column("parametrization", no_wrap=True)
    table.add_column("mechanism", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for heading in ("predicted", "measured", "error", "z", "n"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        outcome = row["verdict"]
        cells = [Text(str(row.get("parametrization", "")))] if named else []
        cells += [Text(row["mechanism"]), Text(f"{SIGNS[outcome]} {outcome}", style=COLOURS[outcome])]
        cells += [Text(predicted(row)), Text(number(row["measured"]))]
        cells += [Text(number(row[key], 2)) for key in ("standard_error", "z")]
        table.add_row(*cells, Text(number(row["n"])))
    return table


def verdict_records(verdicts: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What `check --json` prints: name, outcome and numbers of every verdict, no criterion or details.

    Where the details say so, also "data", the kind of data that was trained on, and "sizes", those of the graph.
    """
    keys = ("mechanism", "verdict", "predicted", "measured", "standard_error", "z", "n")
    return [
        {
            **{key: row[key] for key in keys},
            **{key: row["details"][key] for key in ("data", "sizes") if key in row.get("details", {})},
        }
        for row in verdicts
    ]
