"""A progress bar on a terminal, silence in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def progress_bar(title: str, steps: int, done: int, shown: bool | None) -> Iterator[Callable[[int], None]]:
    """Give a function that tells the bar how many of `steps` are done.

    shown: True draws the bar, False does not, None does if standard error is a terminal.
    """
    if shown is False or (shown is None and not sys.stderr.isatty()):
        yield lambda completed: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=steps, completed=done)
        yield lambda completed: bar.update(task, completed=completed)
