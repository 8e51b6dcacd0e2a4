"""Several statements about one prediction, joined into one verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from numeric.comparison.verdict import Outcome, Verdict

SEVERITY: tuple[Outcome, ...] = ("refuted", "inconclusive", "confirmed")


def combine(parts: Mapping[str, Verdict], criterion: str, details: Mapping[str, Any]) -> Verdict:
    """Refuted if any part is refuted, confirmed only if all are; otherwise inconclusive.

    parts: name of the statement → its verdict; the first of the gravest outcome supplies the numbers. details:
    added to its own, with "parts", the records of all of them.
    """
    deciding = min(parts, key=lambda name: SEVERITY.index(parts[name].verdict))
    verdict = parts[deciding]
    joined: dict[str, Any] = {
        **details,
        "decided_by": deciding,
        "parts": {name: part.to_json() for name, part in parts.items()},
    }
    if "reason" in verdict.details:
        joined["reason"] = f"{deciding}: {verdict.details['reason']}"
    return replace(verdict, criterion=criterion, details=joined)


def undecided(
    mechanism: str, criterion: str, reason: str, details: Mapping[str, Any] | None = None, n: int = 0
) -> Verdict:
    """An inconclusive verdict that says why."""
    nan = float("nan")
    return Verdict(mechanism, "inconclusive", nan, nan, None, None, n, criterion, {**(details or {}), "reason": reason})
