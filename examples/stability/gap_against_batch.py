"""The sharpness gap of small networks against batch size and forecast; which runs are at the edge at all.

    python examples/stability/gap_against_batch.py [--folder results/gap] [--quick] [--case NAME] [--workers 2]
        [--directions 1] [--steps N] [--seed 0]

Every run writes its state at every measurement and goes on from it when the study is started again.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from edge_cases import CASES, LOSSES, SAMPLES, Case
from gap_summary import fits, series, show
from rich.console import Console

from numeric.comparison.verdict import jsonable
from numeric.reporting.figures import write_figure
from numeric.stability import Descent, Plan, answer, forecast, run_edge
from numeric.stability.generated import sharpness_gap
from numeric.stability.picture import edge_picture

# Enough measurements in the judged half for an answer, which cannot be more than "the run is too short".
QUICK_STEPS, QUICK_EVERY, QUICK_BATCH = 90, 4, 32
BATCHES_MEASURED = 2  # for batch sharpness, at every measurement


@dataclass(frozen=True)
class Run:
    """One run of the study: a name of CASES, the batch size, how long it takes and how many critical directions."""

    case: str
    batch_size: int
    plan: Plan
    seed: int
    folder: Path

    @property
    def place(self) -> Path:
        """The folder of this run; what is not as in the default study stands in its name."""
        steps = (self.plan.steps, CASES[self.case].steps)
        ways = {"directions": (self.plan.directions, 1), "steps": steps, "seed": (self.seed, 0)}
        other = "".join(f"_{name}_{value}" for name, (value, usual) in ways.items() if value != usual)
        return self.folder / self.case.replace(", ", "_") / f"batch_{self.batch_size}{other}"


def carry_out(run: Run) -> dict[str, Any]:
    """Train, or read what was trained, and answer."""
    torch.set_num_threads(1)
    begun = _processor_seconds()
    case = CASES[run.case]
    descent = Descent(case.lr, None if run.batch_size == SAMPLES else run.batch_size)
    path = run.place / "run.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    done = run_edge(
        case.model(run.seed),
        LOSSES[case.loss],
        case.load(),
        descent,
        run.plan,
        seed=run.seed,
        checkpoint=path,
        progress=False,
    )
    record: dict[str, Any] = {"case": run.case, "batch_size": run.batch_size, "lr": case.lr}
    found = None
    if done.diverged_at is not None:
        record |= {"answer": "diverged", "sentence": f"diverged at step {done.diverged_at}"}
    else:
        found = answer(forecast(done, sharpness_gap))
        record |= found.to_json()
    title = f"{run.case}, batches of {run.batch_size}: {record['answer']}"
    write_figure("edge", edge_picture(done, found, title), run.place / "figure")
    return jsonable(record | {"processor_seconds": _processor_seconds() - begun})


def answers(runs: list[Run], workers: int) -> Iterator[dict[str, Any]]:
    """The records in the order of the runs, several at once in processes of their own."""
    if workers == 1:
        yield from map(carry_out, runs)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(carry_out, runs)


def main() -> None:
    """Carry out the study, print what every run says, and draw the figures."""
    options = _options()
    console = Console(highlight=False, width=120)
    folder = options.folder / "quick" if options.quick else options.folder
    records = []
    for record in answers(_runs(options, folder), options.workers):
        console.print(
            f"{record['case']}, b = {record['batch_size']}: {record['sentence']}", markup=False, soft_wrap=True
        )
        records.append(record)
    (folder / "answers.json").write_text(json.dumps(records, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    console.print()
    show(console, records)
    columns = series(records)
    if columns:
        data = {"series": columns, "fits": fits(columns), "title": "Sharpness gap against batch size, runs at the edge"}
        print(write_figure("gap", data, folder / "figure"))
        print(write_figure("collapse", data | {"title": "Sharpness gap and forecast"}, folder / "collapse"))
    spent = sum(record["processor_seconds"] for record in records)
    print(f"{spent / 60:.1f} minutes of one processor")


def _runs(options: argparse.Namespace, folder: Path) -> list[Run]:
    chosen = [case for name, case in CASES.items() if options.case in (None, name)]
    if options.quick:
        plan = Plan(QUICK_STEPS, QUICK_EVERY, batches=1)
        return [Run(case.name, QUICK_BATCH, plan, options.seed, folder) for case in chosen]
    return [
        Run(case.name, batch, _plan(case, options), options.seed, folder) for case in chosen for batch in case.batches
    ]


def _plan(case: Case, options: argparse.Namespace) -> Plan:
    return Plan(options.steps or case.steps, case.every, batches=BATCHES_MEASURED, directions=options.directions)


def _processor_seconds() -> float:
    """Of this process: what a busy machine cannot stretch much."""
    used = os.times()
    return used.user + used.system


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, default=Path("results/gap"))
    parser.add_argument("--quick", action="store_true", help="one batch size and 90 steps of every case")
    parser.add_argument("--case", choices=list(CASES), help="images, network and loss; default: all")
    for name, value in (("--workers", 2), ("--seed", 0), ("--directions", 1)):
        parser.add_argument(name, type=int, default=value)
    parser.add_argument("--steps", type=int, help="of every run; default: the case's own")
    return parser.parse_args()


if __name__ == "__main__":
    main()
