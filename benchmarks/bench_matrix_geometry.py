"""The generated geometry of G Hᵀ against hand-written torch: 12 heads of n = m = 768, h = 64, float32, one thread.

    python benchmarks/bench_matrix_geometry.py [--pairs N] [--slow-pairs N] [--json]

Both sides of a comparison are timed one right after the other, in alternating order, after a warm-up; reported is the
median over pairs of the ratio, with its quartiles, so that a change in the machine's load meets both. A generated
function is first held against the hand-written one in float64. What is not generated is said so. The other two tables
compare the hand-written versions with each other: ways to multiply and to solve, and the accuracy of the horizontal
projection where G and H have condition number 1e4.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from types import ModuleType

import matrix_baselines as baselines
import torch
from rich.console import Console
from rich.table import Table

AGREEMENT = 1e-10  # relative, float64, well-conditioned: leaves five digits for the order of operations
KRONECKER_RANK = 32
FUNCTIONS = ("christoffel_form", "project_horizontal", "inner", "geodesic")


@dataclass(frozen=True)
class Comparison:
    """Medians in milliseconds, and median and quartiles over pairs of own time / other time."""

    metric: str
    function: str
    against: str
    own_ms: float | None = None
    other_ms: float | None = None
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    most: float | None = None  # the ratio to stay under; None where there is no target
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is none, or no measurement."""
        return None if self.ratio is None or self.most is None else self.ratio <= self.most


@dataclass(frozen=True)
class Accuracy:
    """Relative error of a projection on ill-conditioned float32 factors, and as a multiple of Schur's in float64."""

    method: str
    error: float
    over_schur: float


def seconds(call: Callable[[], object]) -> float:
    """Time of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def paired(own: Callable[[], object], other: Callable[[], object], pairs: int) -> dict[str, float]:
    """Interleaved timings of two calls, as fields of a `Comparison`."""
    for _ in range(2):
        own(), other()
    first, second = [], []
    for index in range(pairs):
        if index % 2:
            second.append(seconds(other))
            first.append(seconds(own))
        else:
            first.append(seconds(own))
            second.append(seconds(other))
    low, middle, high = statistics.quantiles([a / b for a, b in zip(first, second, strict=True)], n=4)
    medians = (1e3 * statistics.median(times) for times in (first, second))
    return dict(zip(("own_ms", "other_ms", "ratio", "low", "high"), (*medians, middle, low, high), strict=True))


def arguments(function: str, dtype: torch.dtype, **sizes: int) -> tuple:
    """What a function of a generated module is called with."""
    point, xi = baselines.sample(dtype, **sizes)
    if function == "inner":
        return point, xi, {key: value.flip(0) for key, value in xi.items()}
    return (point, xi, 0.1) if function == "geodesic" else (point, xi)


def generated(metric: str) -> ModuleType:
    """The generated module of the catalog's G Hᵀ."""
    import symtheory as st
    from symtheory import catalog

    return st.generate(catalog.load("low_rank"), metric=metric).load()


def disagreement(own: Callable, other: Callable, function: str) -> float:
    """Relative difference of two versions of a function at a small size in float64."""
    call = arguments(function, torch.float64, heads=3, rows=20, rank=6)
    results = own(*call), other(*call)
    if function == "inner":
        results = tuple({"inner": result} for result in results)
    return baselines.relative_error(*results)


def others(metric: str, function: str) -> dict[str, tuple[Callable, float | None, bool]]:
    """What to compare with: the call, the ratio to stay under, and whether it is slow."""
    best = baselines.BEST[metric][function]
    if function == "christoffel_form":
        return {
            "best hand-written": (best, 1.05, False),
            f"best of {baselines.DIFFERENTIABLE}": (baselines.differentiable(metric), None, False),
            "autodiff, known solve": (baselines.autodiff(metric), 1 / 4, True),
            "autodiff, CG": (baselines.autodiff_cg(metric), 1 / 15, True),
            "autodiff, CG, graph kept": (baselines.autodiff_cg(metric, keep_graph=True), 1 / 15, True),
            "naive order": (baselines.naive(metric), None, True),
        }
    if function == "project_horizontal" and metric == "invariant":
        return {
            f"best hand-written ({baselines.EIGENDECOMPOSITION})": (best, 1.0, False),
            **{
                name: (baselines.PROJECTIONS[name], None, True)
                for name in ("svd, float64", "eig, float64", baselines.SCHUR)
            },
        }
    return {"best hand-written": (best, None, False)}


def compare(module: ModuleType, metric: str, function: str, pairs: int, slow_pairs: int) -> list[Comparison]:
    """A generated function against everything it is compared with."""
    own, against = getattr(module, function, None), others(metric, function)
    if own is None:
        return [Comparison(metric, function, name, note="not generated") for name in against]
    difference = disagreement(own, baselines.BEST[metric][function], function)
    if not difference < AGREEMENT:
        note = f"differs from the hand-written one by {difference:.1e}"
        return [Comparison(metric, function, name, note=note) for name in against]
    call = arguments(function, torch.float32)
    rows = []
    for name, (other, most, slow) in against.items():
        timing = paired(lambda: own(*call), lambda other=other: other(*call), slow_pairs if slow else pairs)
        rows.append(Comparison(metric, function, name, most=most, **timing))
    return rows


def kronecker(module: ModuleType) -> Comparison:
    """The generated projection against the h² × h² system, timed at a smaller h and scaled by h⁶."""
    name = f"Kronecker system (from h = {KRONECKER_RANK}, times {baselines.RANK // KRONECKER_RANK}⁶)"
    own = getattr(module, "project_horizontal", None)
    point, xi = baselines.sample(torch.float64, rank=KRONECKER_RANK)
    terms = baselines.sylvester_terms(point, xi, torch.float64)
    times = [seconds(lambda: baselines.solve_by_kronecker(*terms)) for _ in range(3)]
    other = 1e3 * statistics.median(times) * (baselines.RANK / KRONECKER_RANK) ** 6
    if own is None:
        return Comparison("invariant", "project_horizontal", name, other_ms=other, note="not generated")
    call = arguments("project_horizontal", torch.float32)
    mine = 1e3 * statistics.median([seconds(lambda: own(*call)) for _ in range(5)])
    return Comparison("invariant", "project_horizontal", name, mine, other, mine / other)


def compare_variants(pairs: int) -> list[Comparison]:
    """Hand-written versions of one function against the best hand-written one."""
    versions = [
        (metric, "christoffel_form", name, baselines.christoffel(metric, **parts))
        for metric in baselines.METRICS
        for name, parts in baselines.VARIANTS.items()
    ]
    versions += [("invariant", "project_horizontal", name, form) for name, form in baselines.PROJECTIONS.items()]
    return [
        Comparison(metric, function, name, **against_best(metric, function, form, pairs))
        for metric, function, name, form in versions
    ]


def against_best(metric: str, function: str, form: Callable, pairs: int) -> dict[str, float]:
    """Timings of a version of a function and of the best one."""
    best, call = baselines.BEST[metric][function], arguments(function, torch.float32)
    return paired(lambda: form(*call), lambda: best(*call), pairs)


def accuracies(module: ModuleType) -> list[Accuracy]:
    """Errors of all projections on one head with condition number 1e4, float32 in and out."""
    point, xi = baselines.ill_conditioned()
    reference = baselines.reference_projection(point, xi)
    methods = dict(baselines.PROJECTIONS)
    if hasattr(module, "project_horizontal"):
        methods = {"generated": module.project_horizontal, **methods}
    errors = {name: baselines.relative_error(project(point, xi), reference) for name, project in methods.items()}
    return [Accuracy(name, error, error / errors[baselines.SCHUR]) for name, error in errors.items()]


def number(value: float | None, form: str = ".2f") -> str:
    """A number, or nothing."""
    return "" if value is None else f"{value:{form}}"


def target(row: Comparison) -> str:
    """What the ratio should be and whether it is."""
    if row.most is None:
        return ""
    wanted = f"≤ {row.most:.2f}" if row.most >= 1 else f"≥ {1 / row.most:.0f}× faster"
    return wanted if row.met is None else f"{wanted}: {'met' if row.met else 'missed'}"


def comparison_table(rows: list[Comparison], title: str, own: str, other: str, *, targets: bool) -> Table:
    """Comparisons for a reader."""
    table = Table(title=title)
    table.add_column("function")
    table.add_column("against" if targets else "version")
    for heading in (own, other, "ratio", "quartiles", "inverse"):
        table.add_column(heading, justify="right")
    if targets:
        table.add_column("target")
    for row in rows:
        quartiles = "" if row.low is None else f"{row.low:.3f} – {row.high:.3f}"
        inverse = "" if row.ratio is None else f"{1 / row.ratio:.3g}"
        times = (row.note or number(row.own_ms), number(row.other_ms), number(row.ratio, ".3g"), quartiles, inverse)
        table.add_row(f"{row.function}, {row.metric}", row.against, *times, *([target(row)] if targets else []))
    return table


def accuracy_table(rows: list[Accuracy]) -> Table:
    """Errors for a reader."""
    table = Table(title="Invariant horizontal projection, condition number 1e4, float32 in and out; target: ≤ 10")
    for heading in ("method", "relative error", "over Schur in float64"):
        table.add_column(heading, justify="left" if heading == "method" else "right")
    for row in rows:
        table.add_row(row.method, f"{row.error:.2e}", f"{row.over_schur:.3g}")
    return table


def measure(pairs: int, slow_pairs: int) -> dict[str, list]:
    """All comparisons and accuracies."""
    modules = {metric: generated(metric) for metric in baselines.METRICS}
    rows = [
        row
        for function in FUNCTIONS
        for metric, module in modules.items()
        for row in compare(module, metric, function, pairs, slow_pairs)
    ]
    rows.append(kronecker(modules["invariant"]))
    return {"generated": rows, "hand_written": compare_variants(pairs), "accuracy": accuracies(modules["invariant"])}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=31, help="timed pairs for each comparison")
    parser.add_argument("--slow-pairs", type=int, default=9, help="the same where the other side is slow")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    options = parser.parse_args()
    torch.set_num_threads(1)
    results = measure(options.pairs, options.slow_pairs)
    if options.json:
        about = {"torch": torch.__version__, "python": platform.python_version(), "threads": torch.get_num_threads()}
        sizes = {"heads": baselines.HEADS, "n": baselines.ROWS, "m": baselines.ROWS, "h": baselines.RANK}
        lists = {key: [asdict(row) for row in rows] for key, rows in results.items()}
        print(json.dumps({"about": about, "sizes": sizes, **lists}, indent=2))
        return
    console = Console()
    title = "Generated against hand-written, milliseconds for 12 heads, 768 × 64, float32, one thread"
    console.print(comparison_table(results["generated"], title, "generated", "other", targets=True))
    title = "Hand-written versions against the best one, milliseconds"
    console.print(comparison_table(results["hand_written"], title, "version", "best", targets=False))
    console.print(accuracy_table(results["accuracy"]))


if __name__ == "__main__":
    main()
