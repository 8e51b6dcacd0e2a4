"""Christoffel symbols of the invariant metric Σ du_i²/u_i² + dv_i²/v_i²: symtheory, einsteinpy, sympy.diffgeom.

Every measurement runs in a process of its own, so that no cache is shared and a time limit holds. Reported is the
time to obtain all symbols, without imports; for symtheory the best of three, for the others one run.

    python benchmarks/bench_christoffel.py [--limit SECONDS] [--json]

einsteinpy is optional: pip install .[bench]. It may live in another environment: --einsteinpy-python PATH.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import sympy as sp

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
COMPETITOR_SIZES = (4, 8, 16, 32)
OWN_SIZES = (4, 8, 16, 32, 64, 256, 1024)
TOOLS = ("symtheory", "einsteinpy", "sympy.diffgeom")
INSTALL = "not installed: pip install .[bench]"


@dataclass(frozen=True)
class Measurement:
    """One tool at one number of coordinates; seconds is None where `note` says why."""

    tool: str
    coordinates: int
    seconds: float | None
    nonzero: int | None
    note: str = ""


def invariant_metric(size: int) -> tuple[list[list[sp.Expr]], tuple[sp.Symbol, ...]]:
    """Rows of the diagonal metric and its `size` coordinates."""
    half = size // 2
    coordinates = tuple(sp.symbols(f"u:{half}", real=True) + sp.symbols(f"v:{half}", real=True))
    rows = [[x**-2 if i == j else sp.S.Zero for j in range(size)] for i, x in enumerate(coordinates)]
    return rows, coordinates


def run_symtheory(size: int) -> tuple[float, int]:
    """Best of three runs."""
    from symtheory.geometry import ChristoffelSymbols

    rows, coordinates = invariant_metric(size)
    metric = sp.Matrix(rows)
    elapsed = []
    for _ in range(3):
        sp.core.cache.clear_cache()
        start = time.perf_counter()
        symbols = ChristoffelSymbols(metric, coordinates)
        elapsed.append(time.perf_counter() - start)
    return min(elapsed), len(symbols)


def run_einsteinpy(size: int) -> tuple[float, int]:
    """einsteinpy's ChristoffelSymbols from its MetricTensor."""
    from einsteinpy.symbolic import ChristoffelSymbols, MetricTensor

    rows, coordinates = invariant_metric(size)
    metric = MetricTensor(rows, coordinates)
    start = time.perf_counter()
    tensor = ChristoffelSymbols.from_metric(metric).tensor()
    elapsed = time.perf_counter() - start
    return elapsed, count_nonzero(tensor, size)


def run_diffgeom(size: int) -> tuple[float, int]:
    """sympy.diffgeom's metric_to_Christoffel_2nd on the same metric."""
    from sympy.diffgeom import CoordSystem, Manifold, Patch, TensorProduct, metric_to_Christoffel_2nd

    _, coordinates = invariant_metric(size)
    system = CoordSystem("theta", Patch("P", Manifold("M", size)), coordinates)
    fields, forms = system.base_scalars(), system.base_oneforms()
    metric = sum(TensorProduct(form, form) / x**2 for x, form in zip(fields, forms, strict=True))
    start = time.perf_counter()
    tensor = metric_to_Christoffel_2nd(metric)
    elapsed = time.perf_counter() - start
    return elapsed, count_nonzero(tensor, size)


def count_nonzero(tensor: sp.NDimArray, size: int) -> int:
    """Nonzero entries with ordered lower indices, as symtheory counts them."""
    indices = range(size)
    return sum(tensor[i, k, m] != 0 for i in indices for k in indices for m in range(k, size))


RUNNERS: dict[str, Callable[[int], tuple[float, int]]] = {
    "symtheory": run_symtheory,
    "einsteinpy": run_einsteinpy,
    "sympy.diffgeom": run_diffgeom,
}


def measure(tool: str, size: int, limit: float, python: str) -> Measurement:
    """Run one measurement in a new process."""
    command = [python, str(Path(__file__).resolve()), "--worker", tool, str(size)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, cwd=ROOT, check=False)
    except subprocess.TimeoutExpired:
        return Measurement(tool, size, None, None, f"over {limit:g} s")
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        missing = "No module named 'einsteinpy'" in done.stderr
        return Measurement(tool, size, None, None, INSTALL if missing else (lines[-1] if lines else "failed"))
    seconds, nonzero = json.loads(done.stdout.splitlines()[-1])
    return Measurement(tool, size, seconds, nonzero)


def measure_all(limit: float, einsteinpy_python: str, console: Console) -> list[Measurement]:
    """All tools at all their sizes; a tool that ran out of time is not tried at larger ones."""
    # Imported here: the process that measures einsteinpy may have no rich.
    from rich.progress import Progress

    jobs = [(tool, size) for tool in TOOLS for size in (OWN_SIZES if tool == "symtheory" else COMPETITOR_SIZES)]
    results: list[Measurement] = []
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("measuring", total=len(jobs))
        for tool, size in jobs:
            progress.update(task, description=f"{tool}, {size} coordinates")
            before = results[-1] if results and results[-1].tool == tool else None
            if before is not None and before.seconds is None:
                results.append(Measurement(tool, size, None, None, before.note))
            else:
                python = einsteinpy_python if tool == "einsteinpy" else sys.executable
                results.append(measure(tool, size, limit, python))
            progress.advance(task)
    return results


def table(results: list[Measurement]) -> Table:
    """Rows: numbers of coordinates; columns: tools."""
    from rich.markup import escape
    from rich.table import Table

    shown = Table(title="All Christoffel symbols of the invariant metric, seconds")
    shown.add_column("coordinates", justify="right")
    shown.add_column("nonzero (k ≤ l)", justify="right")
    for tool in TOOLS:
        shown.add_column(tool, justify="right")
    for size in OWN_SIZES:
        row = {result.tool: result for result in results if result.coordinates == size}
        cells = [
            ""
            if tool not in row
            else escape(row[tool].note)
            if row[tool].seconds is None
            else f"{row[tool].seconds:.4f}"
            for tool in TOOLS
        ]
        shown.add_row(str(size), str(row["symtheory"].nonzero), *cells)
    return shown


def main() -> None:
    """Parse the options, measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=float, default=120.0, help="seconds for each measurement, imports included")
    parser.add_argument("--einsteinpy-python", default=sys.executable, help="interpreter that has einsteinpy")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--worker", nargs=2, metavar=("TOOL", "SIZE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        tool, size = options.worker
        print(json.dumps(RUNNERS[tool](int(size))))
        return
    from rich.console import Console

    results = measure_all(options.limit, options.einsteinpy_python, Console(stderr=True))
    if options.json:
        versions = {"python": platform.python_version(), "sympy": sp.__version__}
        print(json.dumps({"versions": versions, "limit_s": options.limit, "results": [asdict(r) for r in results]}))
    else:
        Console().print(table(results))


if __name__ == "__main__":
    main()
