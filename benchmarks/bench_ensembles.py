"""Replica-steps per second of 256 replicas in numeric.train against a plain torch.nn loop of one run, four models.

    python benchmarks/bench_ensembles.py [--json] [--threads N] [--pairs N] [--model TEXT] [--backend native|compiled]
                                         [--memory] [--cpu]

Each pair times the plain loop and numeric.train, step by step and in blocks of steps, one after the other in one
process, so that a change in the machine's load meets all of them. Reported are medians over pairs of ratios, with the
extremes; ensembles are timed from their first to their last step. Making the block is timed by itself, once, with
nothing kept from earlier processes; the ratio "making it counted" is that of a run of --steps steps which begins by
making the block. --memory adds the growth of the peak resident memory between 256 and 4096 replicas, in processes of
their own, step by step and in blocks. With more load than there are cores, timings on the wall say little; --cpu takes
the processor time of one thread instead.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

if __name__ == "__main__":
    # Before torch is imported: what an earlier process compiled would make compiling look free.
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = tempfile.mkdtemp(prefix="bench_ensembles_")

import torch
from ensemble_problems import LR, Problem, problems
from rich.console import Console
from rich.table import Table
from torch import Tensor

import numeric
from numeric.training.backend import Backend

REPLICAS, MANY_REPLICAS = 256, 4096
PLAIN_STEPS, RUN_SECONDS = 1000, 1.0
MEMORY_STEPS = 40
Row = dict[str, Any]
Clock = Callable[[], float]


def plain_seconds(problem: Problem, clock: Clock, steps: int = PLAIN_STEPS) -> float:
    """Seconds for one step of one run in the plain loop."""
    model, mean_squared_error = problem.plain(), torch.nn.MSELoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=LR)
    x, y = (leaf for leaf in problem.data.values())
    begin = clock()
    for _ in range(steps):
        inputs, targets = x, y
        if problem.batch is not None:
            index = torch.randint(len(x), (problem.batch,))
            inputs, targets = x[index], y[index]
        loss = mean_squared_error(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return (clock() - begin) / steps


def ensemble_seconds(
    problem: Problem,
    clock: Clock,
    steps: int,
    backend: Backend,
    replicas: int = REPLICAS,
    device: torch.device | None = None,
) -> tuple[float, float]:
    """Seconds for one step, from the first to the last one recorded, and for all that comes before the first."""
    module, times = problem.module.load(), []

    def note(step: numeric.Step) -> Tensor:
        times.append(clock())
        return step.loss

    begin = clock()
    numeric.train(
        module,
        problem.loss,
        problem.data,
        optimizer=problem.optimizer,
        steps=steps,
        replicas=replicas,
        observables={"time": note},
        record_at=[0, steps - 1],
        device=device,
        progress=False,
        backend=backend,
    )
    return (times[1] - times[0]) / (steps - 1), times[0] - begin


def measure(problem: Problem, clock: Clock, pairs: int, backend: Backend, counted_steps: int) -> Row:
    """One row: times of a step, ratios, and what making the block costs."""
    plain_seconds(problem, clock, 50)
    ensemble_seconds(problem, clock, 16, "eager")
    _, first = ensemble_seconds(problem, time.perf_counter, 24, backend)
    plain, eager, blocks = [], [], []
    for _ in range(pairs):
        plain.append(plain_seconds(problem, clock))
        eager.append(ensemble_seconds(problem, clock, _steps(problem, clock, "eager"), "eager")[0])
        blocks.append(ensemble_seconds(problem, clock, _steps(problem, clock, backend), backend)[0])
    counted = [step + first / counted_steps for step in blocks]
    saved = statistics.median(eager) - statistics.median(blocks)
    return {
        "model": problem.title,
        "target": problem.target,
        "replicas": REPLICAS,
        "backend": backend,
        "plain_us": 1e6 * statistics.median(plain),
        "eager_us": 1e6 * statistics.median(eager),
        "block_us": 1e6 * statistics.median(blocks),
        "eager": _ratios(plain, eager),
        "block": _ratios(plain, blocks),
        "making_counted": _ratios(plain, counted),
        "counted_steps": counted_steps,
        "making_seconds": first,
        "pays_after_steps": round(first / saved) if saved > 0 else None,
    }


def _steps(problem: Problem, clock: Clock, backend: Backend) -> int:
    """Whole blocks of steps that take about RUN_SECONDS, first and last step apart."""
    trial, _ = ensemble_seconds(problem, clock, 66, backend)
    return max(64, int(RUN_SECONDS / trial) // 32 * 32) + 2


def _ratios(plain: list[float], ensemble: list[float]) -> dict[str, float]:
    ratios = [REPLICAS * one / many for one, many in zip(plain, ensemble, strict=True)]
    return {"median": statistics.median(ratios), "low": min(ratios), "high": max(ratios)}


def memory_per_replica(index: int, backend: str) -> float:
    """Bytes by which the peak resident memory grows for each further replica."""
    code = (
        "import sys, resource; sys.path.insert(0, 'benchmarks'); import torch; torch.set_num_threads(1); "
        "from bench_ensembles import ensemble_seconds, problems, time; "
        "index, replicas, steps = map(int, sys.argv[2:]); "
        "ensemble_seconds(problems()[index], time.perf_counter, steps, sys.argv[1], replicas); "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    peaks = [
        1024
        * int(
            subprocess.run(
                [sys.executable, "-c", code, backend, *map(str, (index, replicas, MEMORY_STEPS))],
                capture_output=True,
                check=True,
                text=True,
            ).stdout
        )
        for replicas in (REPLICAS, MANY_REPLICAS)
    ]
    return (peaks[1] - peaks[0]) / (MANY_REPLICAS - REPLICAS)


def table(rows: list[Row]) -> Table:
    """The rows for a reader."""
    backend = rows[0]["backend"]
    result = Table(title=f"{REPLICAS} replicas against one plain torch.nn loop: ratio of replica-steps per second")
    headings = ("model", "asked", "eager", backend, "making it counted", "made in s", "µs: plain", "eager", backend)
    for heading in headings:
        result.add_column(heading, justify="left" if heading == "model" else "right")
    with_memory = "bytes_per_replica" in rows[0]
    if with_memory:
        result.add_column(f"bytes a replica: eager, {backend}", justify="right")
    for row in rows:
        ratios = [
            f"{row[key]['median']:.0f} ({row[key]['low']:.0f}–{row[key]['high']:.0f})" for key in ("eager", "block")
        ]
        counted = f"{row['making_counted']['median']:.0f} ({row['counted_steps']:,} steps)"
        times = [f"{row[key]:,.0f}" for key in ("plain_us", "eager_us", "block_us")]
        memory = [", ".join(f"{each:,.0f}" for each in row["bytes_per_replica"].values())] if with_memory else []
        seconds = f"{row['making_seconds']:.1f}"
        result.add_row(row["model"], f"{row['target']:g}", *ratios, counted, seconds, *times, *memory)
    return result


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--threads", type=int, default=None, help="torch threads (default: torch's own choice)")
    parser.add_argument("--pairs", type=int, default=5, help="timed pairs for each model")
    parser.add_argument("--model", default="", help="only models whose title contains this text")
    parser.add_argument("--backend", choices=("native", "compiled"), default="native", help="how blocks are made")
    parser.add_argument("--steps", type=int, default=400_000, help="length of the run in which making it is counted")
    parser.add_argument("--memory", action="store_true", help="measure the memory for each replica too")
    parser.add_argument(
        "--cpu", action="store_true", help="processor time of one thread, for a machine that is not idle"
    )
    options = parser.parse_args()
    clock = time.process_time if options.cpu else time.perf_counter
    if options.cpu:
        torch.set_num_threads(1)
    elif options.threads is not None:
        torch.set_num_threads(options.threads)
    chosen = [(index, each) for index, each in enumerate(problems()) if options.model in each.title]
    rows = []
    for index, problem in chosen:
        row = measure(problem, clock, options.pairs, options.backend, options.steps)
        if options.memory:
            row["bytes_per_replica"] = {
                backend: memory_per_replica(index, backend) for backend in ("eager", options.backend)
            }
        rows.append(row)
    if options.json:
        about = {
            "torch": torch.__version__,
            "python": platform.python_version(),
            "clock": "processor" if options.cpu else "wall",
            "threads": torch.get_num_threads(),
            "cores": os.cpu_count(),
            "load": os.getloadavg()[0],
        }
        print(json.dumps({"about": about, "rows": rows}, indent=2))
    else:
        console = Console(width=max(150, Console().width))
        console.print(table(rows))
        console.print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, {torch.get_num_threads()} threads")


if __name__ == "__main__":
    main()
