"""Reasons why mechanisms do not apply, each told once."""

from __future__ import annotations

from collections.abc import Mapping


def by_reason(reasons: Mapping[str, str]) -> dict[str, list[str]]:
    """Reason → the names that share it, in their order."""
    names: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        names.setdefault(reason, []).append(name)
    return names
