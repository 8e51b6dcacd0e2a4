"""The sharpness gap of networks on digits against batch size and forecast; which runs are at the edge at all.

    python examples/stability/gap_against_batch.py [--folder results/gap] [--quick] [--case NAME] [--workers 2]
        [--directions 1]

Every run writes its state at every measurement and goes on from it when the study is started again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from digits import CASES, SAMPLES, digits

from numeric.comparison.verdict import jsonable
from numeric.errors import CheckError
from numeric.reporting.figures import write_figure
from numeric.stability import Descent, Plan, answer, forecast, run_edge
from numeric.stability.generated import sharpness_gap
from numeric.stability.picture import edge_picture
from numeric.stability.power_law import power_law

BATCHES = (8, 16, 24, 32, 48, 64, 96, 128, SAMPLES)
STEPS, EVERY = 3000, 25


@dataclass(frozen=True)
class Run:
    """One run of the study: a name of CASES, the batch size, how long it takes and how many critical directions."""

    case: str
    batch_size: int
    steps: int
    every: int
    seed: int
    folder: Path
    directions: int = 1

    @property
    def place(self) -> Path:
        """The folder of this run."""
        several = f"_directions_{self.directions}" if self.directions > 1 else ""
        return self.folder / self.case.replace(", ", "_") / f"batch_{self.batch_size}{several}"


def carry_out(run: Run) -> dict[str, Any]:
    """Train, or read what was trained, and answer."""
    torch.set_num_threads(1)
    case = CASES[run.case]
    descent = Descent(case.lr, None if run.batch_size == SAMPLES else run.batch_size)
    path = run.place / "run.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    plan = Plan(run.steps, run.every, directions=run.directions)
    done = run_edge(
        case.model(run.seed), case.loss, digits(), descent, plan, seed=run.seed, checkpoint=path, progress=False
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
    return jsonable(record)


def answers(runs: list[Run], workers: int) -> Iterator[dict[str, Any]]:
    """The records in the order of the runs, several at once in processes of their own."""
    if workers == 1:
        yield from map(carry_out, runs)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(carry_out, runs)


def summary(records: list[dict[str, Any]]) -> dict[str, Any]:
    """Data of the figure "gap": the runs with noise that are at the edge, and the powers of 1/b fitted to them."""
    series: dict[str, dict[str, list[float]]] = {}
    for record in records:
        if not record["sentence"].startswith("at the edge") or record["batch_size"] == SAMPLES:
            continue
        column = series.setdefault(
            record["case"], {k: [] for k in ("inverse_batch", "gap", "error", "leading", "corrected")}
        )
        column["inverse_batch"].append(1 / record["batch_size"])
        column["gap"].append(record["gap"]["value"])
        column["error"].append(record["gap"]["standard_error"] or 0.0)
        for name in ("leading", "corrected"):
            column[name].append(record["forecasts"][name]["value"])
    fits = {}
    for name, column in series.items():
        kept = [(x, y) for x, y in zip(column["inverse_batch"], column["gap"], strict=True) if y > 0]
        try:
            fits[name] = asdict(power_law(*zip(*kept, strict=True)))
        except (CheckError, TypeError):
            continue
    return {"series": series, "fits": fits, "title": "Sharpness gap on digits, runs at the edge"}


def main() -> None:
    """Carry out the study, print what every run says, and draw the figures."""
    options = _options()
    chosen = [options.case] if options.case else list(CASES)
    batches = BATCHES[3:5] if options.quick else BATCHES
    steps, every = (300, 13) if options.quick else (options.steps, EVERY)
    folder = options.folder / "quick" if options.quick else options.folder
    ways = (steps, every, options.seed, folder, options.directions)
    runs = [Run(case, batch, *ways) for case in chosen for batch in batches]
    records = []
    for record in answers(runs, options.workers):
        print(f"{record['case']}, b = {record['batch_size']}: {record['sentence']}", flush=True)
        records.append(record)
    (folder / "answers.json").write_text(json.dumps(records, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    data = summary(records)
    for name, fit in data["fits"].items():
        print(
            f"{name}: gap ∝ (1/b)^{fit['slope']:.2f} ± {fit['half_width']:.2f} (95 %, {fit['n']} runs, "
            f"R² = {fit['r_squared']:.2f}); published on CIFAR-10: exponent 1.27 in 1/b, R² = 0.98"
        )
    if data["series"]:
        print(write_figure("gap", data, folder / "figure"))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, default=Path("results/gap"))
    parser.add_argument("--quick", action="store_true", help="two batch sizes and 300 steps")
    parser.add_argument("--case", choices=list(CASES), help="one network and loss; default: all")
    for name, value in (("--workers", 2), ("--steps", STEPS), ("--seed", 0), ("--directions", 1)):
        parser.add_argument(name, type=int, default=value)
    return parser.parse_args()


if __name__ == "__main__":
    main()
