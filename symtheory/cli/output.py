"""What commands write: JSON, and what rich lays out."""

from __future__ import annotations

import json
import sys
from typing import Any

import typer


def console() -> Any:
    """A rich console for standard output."""
    from rich.console import Console

    # A pipe has no width of its own; this one keeps formulas and tables whole.
    return Console(highlight=False, width=None if sys.stdout.isatty() else 120)


def print_json(value: Any) -> None:
    """Print a value as JSON, letters of all alphabets as they are."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))
