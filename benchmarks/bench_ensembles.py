"""Replica-steps per second of 256 replicas in numeric.train against a plain torch.nn loop of one run, four models.

    python benchmarks/bench_ensembles.py [--json] [--threads N] [--pairs N] [--model TEXT] [--memory] [--cpu]

Each pair times the plain loop and numeric.train, step by step and compiled, one after the other in one process, so
that a change in the machine's load meets all of them. Reported are medians over pairs of ratios, with the extremes;
ensembles are timed from their first to their last step. Compiling is timed by itself, once with torch's caches empty;
the ratio "compile counted" is that of a run of --steps steps which begins by compiling. --memory adds the growth of the
peak resident memory between 256 and 4096 replicas, in processes of their own. With more load than there are cores,
timings on the wall say little; --cpu takes the processor time of one thread instead.
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
    problem: Problem, clock: Clock, steps: int, backend: Backend, replicas: int = REPLICAS
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
        progress=False,
        backend=backend,
    )
    return (times[1] - times[0]) / (steps - 1), times[0] - begin


def measure(problem: Problem, clock: Clock, pairs: int, counted_steps: int) -> Row:
    """One row: times of a step, ratios, and what compiling costs."""
    plain_seconds(problem, clock, 50)
    ensemble_seconds(problem, clock, 16, "eager")
    trial, _ = ensemble_seconds(problem, clock, 64, "eager")
    steps = max(64, int(RUN_SECONDS / trial) // 8 * 8)
    _, first = ensemble_seconds(problem, time.perf_counter, 24, "compiled")
    plain, eager, compiled = [], [], []
    for _ in range(pairs):
        plain.append(plain_seconds(problem, clock))
        eager.append(ensemble_seconds(problem, clock, steps, "eager")[0])
        compiled.append(ensemble_seconds(problem, clock, steps, "compiled")[0])
    counted = [step + first / counted_steps for step in compiled]
    saved = statistics.median(eager) - statistics.median(compiled)
    return {
        "model": problem.title,
        "target": problem.target,
        "replicas": REPLICAS,
        "plain_us": 1e6 * statistics.median(plain),
        "eager_us": 1e6 * statistics.median(eager),
        "compiled_us": 1e6 * statistics.median(compiled),
        "eager": _ratios(plain, eager),
        "compiled": _ratios(plain, compiled),
        "compile_counted": _ratios(plain, counted),
        "counted_steps": counted_steps,
        "compile_seconds": first,
        "compiling_pays_after_steps": round(first / saved) if saved > 0 else None,
    }


def _ratios(plain: list[float], ensemble: list[float]) -> dict[str, float]:
    ratios = [REPLICAS * one / many for one, many in zip(plain, ensemble, strict=True)]
    return {"median": statistics.median(ratios), "low": min(ratios), "high": max(ratios)}


def memory_per_replica(index: int, backend: str) -> float:
    """Bytes by which the peak resident memory grows for each further replica."""
    code = (
        "import sys, resource; sys.path.insert(0, 'benchmarks'); import torch; torch.set_num_threads(1); "
        "from bench_ensembles import ensemble_seconds, problems, time; "
        "ensemble_seconds(problems()[int(sys.argv[1])], time.perf_counter, 16, sys.argv[2], int(sys.argv[3])); "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    peaks = [
        1024
        * int(
            subprocess.run(
                [sys.executable, "-c", code, str(index), backend, str(replicas)],
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
    result = Table(title=f"{REPLICAS} replicas against one plain torch.nn loop: ratio of replica-steps per second")
    headings = (
        "model",
        "target",
        "eager",
        "compiled",
        "compile counted",
        "compile s",
        "plain µs",
        "eager µs",
        "comp. µs",
    )
    for heading in headings:
        result.add_column(heading, justify="left" if heading == "model" else "right", no_wrap=heading == "model")
    if "bytes_per_replica" in rows[0]:
        result.add_column("bytes a replica", justify="right")
    for row in rows:
        ratios = [f"{row[key]['median']:.0f} ({row[key]['low']:.0f}–{row[key]['high']:.0f})" for key in headings[2:4]]
        counted = f"{row['compile_counted']['median']:.0f} ({row['counted_steps']:,} steps)"
        times = [f"{row[key]:,.0f}" for key in ("plain_us", "eager_us", "compiled_us")]
        memory = [f"{row['bytes_per_replica']:,.0f}"] if "bytes_per_replica" in row else []
        seconds = f"{row['compile_seconds']:.1f}"
        result.add_row(row["model"], f"{row['target']:g}", *ratios, counted, seconds, *times, *memory)
    return result


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--threads", type=int, default=None, help="torch threads (default: torch's own choice)")
    parser.add_argument("--pairs", type=int, default=5, help="timed pairs for each model")
    parser.add_argument("--model", default="", help="only models whose title contains this text")
    parser.add_argument("--steps", type=int, default=400_000, help="length of the run in which compiling is counted")
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
        row = measure(problem, clock, options.pairs, options.steps)
        if options.memory:
            row["bytes_per_replica"] = memory_per_replica(index, "eager")
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
        console = Console()
        console.print(table(rows))
        console.print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, {torch.get_num_threads()} threads")


if __name__ == "__main__":
    main()
