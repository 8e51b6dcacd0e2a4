"""Sharpness measures for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from numeric.reporting.wording import number

WORDS = {True: ("invariant", "green"), False: ("moves", "yellow"), None: ("within its error", "")}


def sharpness_table(rows: Iterable[Mapping[str, Any]]) -> Table:
    """A rich table of `Row.to_json()` records, one row each.

    Whether a measure moves along an orbit has a word besides its colour, so that a pipe shows the same.
    """
    table = Table(header_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("measure", no_wrap=True)
    for heading in ("value", "error", "cost", "seconds"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("along an orbit", no_wrap=True)
    table.add_column("change", justify="right", no_wrap=True)
    for row in rows:
        word, colour = WORDS[row["invariant"]] if row["change_along_orbit"] is not None else ("–", "")
        numbers = [number(row["value"]), number(row["standard_error"], 2), number(row["cost"], 3)]
        change = number(row["change_along_orbit"], 2)
        table.add_row(row["measure"], *numbers, f"{row['seconds']:.1f}", Text(word, style=colour), change)
    return table
