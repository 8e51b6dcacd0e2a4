"""Arguments and options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

DEFAULT_SEED = 27182
"""No run made while settings or thresholds were still being chosen used this seed or the next ones."""

Name = Annotated[str, typer.Argument(help="A catalog name, or path/to/file.py:variable.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Size = Annotated[list[str] | None, typer.Option("--size", help="NAME=VALUE for a free size of the graph; repeatable.")]
Metric = Annotated[str, typer.Option(help="euclidean, invariant, mixed or pullback.")]
Mechanism = Annotated[list[str] | None, typer.Option("--mechanism", "-m", help="Only this; repeatable.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Seed = Annotated[int, typer.Option(help="Seed of every random number.")]
