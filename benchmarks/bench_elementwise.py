"""Generated functions of elementwise geometries against the same written by hand, for speed, in torch.

One thread, float32, one million entries. Both sides are run in turn; a figure is the median of the ratios of
neighbours, generated over by hand. It is CPU time: wall time would count whatever else the machine does. Before, both
are compared: they must give the same to rounding. glibc's allocator is told to keep freed memory, so that arithmetic
is timed and not the kernel's first touch of fresh pages.

    python benchmarks/bench_elementwise.py [--entries N] [--repeats K] [--compile] [--json]

With --compile both sides go through torch.compile (a C++ compiler is needed), and the fused loops are counted.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from types import ModuleType

import torch
from elementwise_baselines import BASELINES, Function, Point
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor

import symtheory as st
from symtheory import catalog

T = 0.7
"""The time of the geodesics."""

AGREEMENT = 2e-4
"""Float32 against float32, relative to the largest entry: with small denominators, terms are a thousand times that."""

WARM_UP = 3

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3


@dataclass(frozen=True)
class Measurement:
    """One function: CPU milliseconds of both sides, their ratio, and the fused loops of both where compiled."""

    name: str
    metric: str
    function: str
    generated_ms: float
    by_hand_ms: float
    ratio: float
    loops: tuple[int, int] | None = None


def keep_freed_memory() -> bool:
    """Whether the C library could be told to keep what is freed; else page faults are part of every figure."""
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    return set_option is not None and all(set_option(key, 2**30) for key in (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD))


def generated_functions(module: ModuleType) -> dict[str, Function]:
    """Under the names of the baselines, and with their arguments."""
    made: dict[str, Function] = {
        "inner": lambda p, x, z, t: module.inner(p, x, z),
        "project_horizontal": lambda p, x, z, t: module.project_horizontal(p, x),
        "christoffel_form": lambda p, x, z, t: module.christoffel_form(p, x),
    }
    for order in (1, 2, 3, "exact"):
        made[f"geodesic {order}"] = lambda p, x, z, t, order=order: module.geodesic(p, x, t, order=order)
    return made


def arguments(names: list[str], entries: int, module: ModuleType) -> tuple[Point, Point, Point, float]:
    """A point away from the boundary of the metric, a small horizontal tangent and another one."""
    torch.manual_seed(0)
    point = {key: (0.5 + place) + 0.4 * torch.rand(entries) for place, key in enumerate(names)}
    xi = module.project_horizontal(point, {key: 0.1 * torch.randn(entries) for key in names})
    return point, xi, {key: torch.randn(entries) for key in names}, T


def largest_difference(left: Point | Tensor, right: Point | Tensor) -> float:
    """Relative to the largest entry."""
    if isinstance(left, Tensor) and isinstance(right, Tensor):
        return float((left - right).abs().max() / right.abs().max())
    assert isinstance(left, dict) and isinstance(right, dict)
    return max(largest_difference(left[key], right[key]) for key in right)


def compiled(function: Function, inputs: tuple[Point, Point, Point, float]) -> tuple[Function, int]:
    """The function through torch.compile, and the number of loops it became."""
    from torch._inductor import metrics

    torch._dynamo.reset()
    metrics.reset()
    made = torch.compile(function, fullgraph=True, dynamic=False)
    made(*inputs)
    return made, metrics.generated_kernel_count


def paired(left: Callable[[], object], right: Callable[[], object], repeats: int) -> tuple[float, float, float]:
    """Median CPU milliseconds of both, and the median ratio of neighbours, after three rounds that do not count."""
    times = []
    for _ in range(repeats + WARM_UP):
        start = time.process_time()
        left()
        middle = time.process_time()
        right()
        times.append((middle - start, time.process_time() - middle))
    del times[:WARM_UP]
    medians = [1e3 * statistics.median(column) for column in zip(*times, strict=True)]
    return medians[0], medians[1], statistics.median(a / b for a, b in times)


def measure(
    case: tuple[str, str, str], made: Function, inputs: tuple[Point, Point, Point, float], repeats: int, compile_: bool
) -> Measurement:
    """Compare both sides, then time them."""
    name, metric, function = case
    by_hand = BASELINES[name, metric][function]
    loops = None
    if compile_:
        (made, first), (by_hand, second) = compiled(made, inputs), compiled(by_hand, inputs)
        loops = (first, second)
    difference = largest_difference(made(*inputs), by_hand(*inputs))
    if not difference < AGREEMENT:
        sys.exit(f"{function} of {name}, {metric}: generated and by hand differ by {difference:.1e}")
    return Measurement(*case, *paired(lambda: made(*inputs), lambda: by_hand(*inputs), repeats), loops)


def measure_all(entries: int, repeats: int, compile_: bool, console: Console) -> list[Measurement]:
    """Every function of every declaration in every metric."""

    def jobs() -> Iterator[Measurement]:
        for name, metric in track(BASELINES, "measuring", console=console, transient=True):
            declared = catalog.load(name)
            module = st.generate(declared, metric=metric).load()
            inputs = arguments(list(declared.parameters), entries, module)
            for function, made in generated_functions(module).items():
                yield measure((name, metric, function), made, inputs, repeats, compile_)

    return list(jobs())


def table(results: list[Measurement], title: str) -> Table:
    """One row for each function; loops stand only where there are some."""
    shown = Table(title=title)
    for column in ("entry", "metric", "function"):
        shown.add_column(column)
    for column in ("generated, ms", "by hand, ms", "ratio", "loops"):
        shown.add_column(column, justify="right")
    for result in results:
        loops = "" if result.loops is None else f"{result.loops[0]} | {result.loops[1]}"
        times = f"{result.generated_ms:.2f}", f"{result.by_hand_ms:.2f}", f"{result.ratio:.2f}"
        shown.add_row(result.name, result.metric, result.function, *times, loops)
    return shown


def main() -> None:
    """Parse the options, measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=1_000_000, help="entries of every parameter")
    parser.add_argument("--repeats", type=int, default=21, help="pairs of runs for each function")
    parser.add_argument("--compile", action="store_true", help="time both sides under torch.compile")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    torch.set_num_threads(1)
    kept = keep_freed_memory()
    results = measure_all(options.entries, options.repeats, options.compile, Console(stderr=True))
    worst = max(result.ratio for result in results)
    if options.json:
        versions = {"python": platform.python_version(), "torch": torch.__version__, "freed_memory_kept": kept}
        print(json.dumps({"versions": versions, "results": [asdict(r) for r in results], "largest_ratio": worst}))
        return
    mode = "torch.compile" if options.compile else "eager"
    Console().print(
        table(results, f"Generated against by hand, {mode}, {options.entries:,} entries, float32, one thread")
    )
    Console().print(f"largest ratio {worst:.2f}; torch {torch.__version__}; freed memory kept: {kept}")


if __name__ == "__main__":
    main()
