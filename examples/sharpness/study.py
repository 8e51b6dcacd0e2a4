"""What the studies of sharpness share: options, the table of correlations, and the report beside its figures."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from torch import Tensor

from numeric.comparison import RankCorrelation
from numeric.errors import StoreError
from numeric.files import write_whole
from numeric.reporting import provenance, write_figure
from numeric.training.store import read_tensors, write_tensors


@dataclass(frozen=True)
class Options:
    """quick: sizes that take seconds and decide nothing; workers: processes beside this one."""

    folder: Path
    seed: int = 0
    quick: bool = False
    workers: int = 2


@dataclass(frozen=True)
class Findings:
    """setting: what was done, in one sentence. correlations: target → measure → τ with its interval. notes: further
    measured numbers, in words. figures: kind and data for ``write_figure``. measured: numbers by name."""

    title: str
    setting: str
    correlations: Mapping[str, Mapping[str, RankCorrelation]]
    notes: tuple[str, ...]
    figures: tuple[tuple[str, Mapping[str, Any]], ...]
    measured: Mapping[str, Any]


def main(study: Callable[[Options], Findings], name: str) -> None:
    """Carry out one study from the command line."""
    parser = argparse.ArgumentParser(description=(study.__doc__ or name).splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("results/sharpness"), help="folder of models and reports")
    parser.add_argument("--seed", type=int, default=0, help="seed of data, starts and measures")
    parser.add_argument("--workers", type=int, default=2, help="processes beside this one (0: none)")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs")
    parsed = parser.parse_args()
    carry_out(study, name, Options(parsed.output, parsed.seed, parsed.quick, parsed.workers))


def carry_out(study: Callable[[Options], Findings], name: str, options: Options) -> dict[str, Any]:
    """Run, print, and write figures and report.json below the folder; returns the record of the report."""
    begin, spent = time.perf_counter(), _processor_seconds()
    options = replace(options, folder=options.folder / (f"{name}_quick" if options.quick else name))
    findings = study(options)
    figures = [
        str(write_figure(kind, data, options.folder / f"{number}_{kind}"))
        for number, (kind, data) in enumerate(findings.figures, 1)
    ]
    record = {
        "name": name,
        "title": findings.title,
        "setting": findings.setting,
        "seed": options.seed,
        "quick": options.quick,
        "correlations": {
            target: {measure: asdict(found) for measure, found in rows.items()}
            for target, rows in findings.correlations.items()
        },
        "notes": list(findings.notes),
        "measured": dict(findings.measured),
        "figures": figures,
        "seconds": time.perf_counter() - begin,
        "processor_seconds": _processor_seconds() - spent,
        "environment": provenance(),
    }
    # json knows NaN (a single study has no spread) in Python's own dialect only: null is what others read.
    text = json.dumps(json.loads(json.dumps(record), parse_constant=lambda _: None), indent=2, ensure_ascii=False)
    write_whole(options.folder / "report.json", text + "\n")
    _show(findings, record)
    return record


def cached(path: Path, setting: Any, compute: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """The tensors in the file, which is made first if it is missing: a study that was cut off goes on from there.

    setting: what the tensors depend on, a dataclass or a JSON value. Raises StoreError for a file of another setting.
    """
    words = {"setting": json.dumps(setting, sort_keys=True, default=asdict)}
    if not path.exists():
        write_tensors(path, compute(), words)
    tensors, metadata = read_tensors(path)
    if metadata != words:
        raise StoreError(f"{path} was made with another setting: choose another folder, or remove it")
    return tensors


def _processor_seconds() -> float:
    """Of this process and those it has waited for: what a busy machine cannot stretch much."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def _show(findings: Findings, record: Mapping[str, Any]) -> None:
    # A pipe has no width of its own, and 80 columns break the table.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    console.print(f"\n[bold]{findings.title}[/bold]\n{findings.setting}")
    targets = list(findings.correlations)
    table = Table("measure", *(f"τ with {target}" for target in targets), box=None, pad_edge=False)
    for measure in findings.correlations[targets[0]]:
        rows = (findings.correlations[target].get(measure) for target in targets)
        table.add_row(measure, *(str(found).replace("[", r"\[") if found else "–" for found in rows))
    console.print(table)
    for note in findings.notes:
        console.print(f"  {note}", markup=False)
    spent = f"{record['seconds']:.0f} s ({record['processor_seconds']:.0f} s of processors)"
    console.print(f"{spent}; report and figures in {Path(record['figures'][0]).parents[1]}")
