"""What a mechanism draws of its check, before anything is written."""

from __future__ import annotations

from typing import Any

Plot = tuple[str, dict[str, Any]]
"""A kind of numeric.reporting.figures, and its data."""

Drawing = tuple[list[Plot], str]
"""Figures in the order in which they are shown, and one caption for all; nothing, and "", where nothing was decided."""
