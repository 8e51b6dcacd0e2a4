"""All Christoffel symbols of two matrix metrics on (G, H), n = m = 3, h = 2: symtheory, einsteinpy, sympy.diffgeom.

The metrics are the invariant one, Tr((GᵀG)⁻¹ ξ_Gᵀξ_G) + Tr((HᵀH)⁻¹ ξ_Hᵀξ_H), and the mixed one,
Tr(HᵀH ξ_Gᵀξ_G) + Tr(GᵀG ξ_Hᵀξ_H), which couples all twelve coordinates. Every measurement runs in a process of its own,
so that no cache is shared and a time limit holds. Reported is the time to obtain all symbols, without imports; for
symtheory, the best of three, from the trace of matrix expressions on; the others, one run each, are given the
components.

    python benchmarks/bench_explicit_christoffel.py [--limit SECONDS] [--json]

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
ROWS, COLUMNS = 3, 2
METRICS = ("inv", "mix")
TOOLS = ("symtheory", "einsteinpy", "sympy.diffgeom")
INSTALL = "not installed: pip install .[bench]"


@dataclass(frozen=True)
class Measurement:
    """One tool on one metric; seconds is None where `note` says why."""

    tool: str
    metric: str
    seconds: float | None
    nonzero: int | None
    note: str = ""


def components(name: str) -> tuple[list[list[sp.Expr]], list[sp.Symbol]]:
    """Rows of the 12×12 metric and its coordinates, written down entry by entry."""
    factors = [
        sp.Matrix(ROWS, COLUMNS, lambda i, j, stem=stem: sp.Symbol(f"{stem}_{i + 1}{j + 1}", real=True))
        for stem in ("G", "H")
    ]
    grams = [factor.T * factor for factor in factors]
    blocks = [gram.adjugate() / gram.det() for gram in grams] if name == "inv" else grams[::-1]
    metric = sp.diag(*(block for block in blocks for _ in range(ROWS)))
    return metric.tolist(), [symbol for factor in factors for symbol in factor]


def run_symtheory(name: str) -> tuple[float, int]:
    """Best of three runs, from the trace form to the symbols."""
    from symtheory.geometry import ChristoffelSymbols
    from symtheory.geometry.explicit_metric import explicit_metric

    points = [sp.MatrixSymbol(stem, ROWS, COLUMNS) for stem in ("G", "H")]
    velocities = [sp.MatrixSymbol(f"xi_{stem}", ROWS, COLUMNS) for stem in ("G", "H")]
    grams = [point.T * point for point in points]
    weights = [gram.inv() for gram in grams] if name == "inv" else grams[::-1]
    form = sp.Add(*(sp.Trace(weight * xi.T * xi) for weight, xi in zip(weights, velocities, strict=True)))
    elapsed = []
    for _ in range(3):
        sp.core.cache.clear_cache()
        start = time.perf_counter()
        symbols = ChristoffelSymbols(*explicit_metric(form, points, velocities))
        elapsed.append(time.perf_counter() - start)
    return min(elapsed), len(symbols)


def run_einsteinpy(name: str) -> tuple[float, int]:
    """einsteinpy's ChristoffelSymbols from its MetricTensor."""
    from einsteinpy.symbolic import ChristoffelSymbols, MetricTensor

    rows, coordinates = components(name)
    metric = MetricTensor(rows, coordinates)
    start = time.perf_counter()
    tensor = ChristoffelSymbols.from_metric(metric).tensor()
    return time.perf_counter() - start, count_nonzero(tensor, len(coordinates))


def run_diffgeom(name: str) -> tuple[float, int]:
    """sympy.diffgeom's metric_to_Christoffel_2nd on the same metric."""
    from sympy.diffgeom import CoordSystem, Manifold, Patch, TensorProduct, metric_to_Christoffel_2nd

    rows, coordinates = components(name)
    size = len(coordinates)
    system = CoordSystem("theta", Patch("P", Manifold("M", size)), coordinates)
    fields, forms = dict(zip(coordinates, system.base_scalars(), strict=True)), system.base_oneforms()
    metric = sum(
        rows[i][j].xreplace(fields) * TensorProduct(forms[i], forms[j])
        for i in range(size)
        for j in range(size)
        if rows[i][j] != 0
    )
    start = time.perf_counter()
    tensor = metric_to_Christoffel_2nd(metric)
    return time.perf_counter() - start, count_nonzero(tensor, size)


def count_nonzero(tensor: sp.NDimArray, size: int) -> int:
    """Entries with ordered lower indices that are not written as zero."""
    indices = range(size)
    return sum(tensor[i, k, m] != 0 for i in indices for k in indices for m in range(k, size))


RUNNERS: dict[str, Callable[[str], tuple[float, int]]] = {
    "symtheory": run_symtheory,
    "einsteinpy": run_einsteinpy,
    "sympy.diffgeom": run_diffgeom,
}


def measure(tool: str, metric: str, limit: float, python: str) -> Measurement:
    """Run one measurement in a new process."""
    command = [python, str(Path(__file__).resolve()), "--worker", tool, metric]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, cwd=ROOT, check=False)
    except subprocess.TimeoutExpired:
        return Measurement(tool, metric, None, None, f"over {limit:g} s")
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        missing = "No module named 'einsteinpy'" in done.stderr
        return Measurement(tool, metric, None, None, INSTALL if missing else (lines[-1] if lines else "failed"))
    seconds, nonzero = json.loads(done.stdout.splitlines()[-1])
    return Measurement(tool, metric, seconds, nonzero)


def measure_all(limit: float, einsteinpy_python: str, console: Console) -> list[Measurement]:
    """All tools on both metrics."""
    # Imported here: the process that measures einsteinpy may have no rich.
    from rich.progress import Progress

    results: list[Measurement] = []
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("measuring", total=len(TOOLS) * len(METRICS))
        for tool in TOOLS:
            for metric in METRICS:
                progress.update(task, description=f"{tool}, {metric}")
                python = einsteinpy_python if tool == "einsteinpy" else sys.executable
                results.append(measure(tool, metric, limit, python))
                progress.advance(task)
    return results


def table(results: list[Measurement]) -> Table:
    """Rows: metrics; columns: tools."""
    from rich.markup import escape
    from rich.table import Table

    shown = Table(title="All Christoffel symbols on (G, H), n = m = 3, h = 2: seconds (nonzero, k ≤ l)")
    shown.add_column("metric")
    for tool in TOOLS:
        shown.add_column(tool, justify="right")
    for metric in METRICS:
        row = {result.tool: result for result in results if result.metric == metric}
        cells = [
            escape(row[tool].note) if row[tool].seconds is None else f"{row[tool].seconds:.4f} ({row[tool].nonzero})"
            for tool in TOOLS
        ]
        shown.add_row(metric, *cells)
    return shown


def main() -> None:
    """Parse the options, measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=float, default=120.0, help="seconds for each measurement, imports included")
    parser.add_argument("--einsteinpy-python", default=sys.executable, help="interpreter that has einsteinpy")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--worker", nargs=2, metavar=("TOOL", "METRIC"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        tool, metric = options.worker
        print(json.dumps(RUNNERS[tool](metric)))
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
