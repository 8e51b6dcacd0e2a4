"""The figures that show how a mechanism's check came out, written to files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from numeric.comparison.verdict import Verdict
from numeric.experiments.experiment import Experiment
from numeric.reporting.figures import write_figure
from numeric.reporting.mechanisms import DRAWINGS


class Shown(NamedTuple):
    """Paths of the figures, and the sentence that says what they show."""

    figures: list[Path]
    caption: str


def mechanism_figures(verdict: Verdict, experiment: Experiment | None, functions: Any, folder: Path) -> Shown:
    """Write the figures of a verdict into subfolders of ``folder``; none where the check left nothing to draw.

    experiment: the runs behind the verdict; functions: the prediction's torch functions.
    """
    if experiment is None or verdict.mechanism not in DRAWINGS:
        return Shown([], "")
    plots, caption = DRAWINGS[verdict.mechanism](verdict.details, experiment, functions)
    paths = [write_figure(kind, data, folder / f"{number}_{kind}") for number, (kind, data) in enumerate(plots, 1)]
    return Shown(paths, caption if paths else "")
