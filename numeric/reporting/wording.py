"""How outcomes and numbers are written, in the terminal and in the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Each outcome has a word, a sign and a colour; the first two survive a print in black and white.
SIGNS = {"confirmed": "✓", "refuted": "✗", "inconclusive": "?"}


def number(value: float | int | None, digits: int = 4) -> str:
    """A number for a table: `digits` significant digits, true minus sign, a dash for None."""
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.{digits}g}".replace("-", "−")


def predicted(verdict: Mapping[str, Any]) -> str:
    """The predicted number of a verdict record, with a "<" before one that is a bound."""
    text = number(verdict["predicted"])
    return f"< {text}" if (verdict.get("details") or {}).get("bound") else text
