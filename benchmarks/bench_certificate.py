"""Time of conservation-law counts and certificates: 50 deep linear cases of up to 90 parameters, and known networks.

    python benchmarks/bench_certificate.py [--cases 50] [--seed 0] [--workers 2] [--certificates] [--json]

The 50 cases are random widths. A case is D − dim Lie(∇φ)(θ) and its counterpart with momentum, modulo a prime, from the
declaration to the numbers; with --certificates the affine fields and the comparison with the group are in it too. The
total is the time that passes until all 50 are done. Where numbers of laws are known they are compared. Last comes the
exact null space that the symmetry search uses, against SymPy's on a smaller matrix.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from itertools import pairwise
from multiprocessing import get_context

import numpy as np
import sympy as sp
from rich.console import Console
from rich.progress import track
from rich.table import Table

import symtheory.graph.functions as st
from symtheory.graph.computation_graph import ComputationGraph
from symtheory.symmetry.certificate import certify
from symtheory.symmetry.certificate.circuit import compile_circuit
from symtheory.symmetry.certificate.field_space import Ranks
from symtheory.symmetry.certificate.gradient_source import GradientSource
from symtheory.symmetry.certificate.lie_dimension import lie_dimension
from symtheory.symmetry.certificate.momentum_lie_dimension import momentum_lie_dimension
from symtheory.symmetry.find import find_symmetries
from symtheory.symmetry.solutions import nullspace

MOST_PARAMETERS = 90
KNOWN = (
    ("linear", (2, 2, 2), 3),
    ("linear", (5, 3, 2), 6),
    ("linear", (3, 4, 2, 4), 13),
    ("linear", (5, 5, 4, 4, 5), 35),
    ("relu", (9, 7, 2), 7),
    ("relu", (8, 5, 8, 5, 5), 18),
)


@dataclass(frozen=True)
class Measurement:
    """One network: widths, parameters, laws found, laws expected, laws with momentum, seconds."""

    kind: str
    widths: tuple[int, ...]
    parameters: int
    laws: int
    expected: int
    momentum_laws: int
    seconds: float
    complete: bool | None = None


@dataclass(frozen=True)
class NullspaceMeasurement:
    """Null space of a random rational matrix: rows and columns, rank, whose code, seconds."""

    size: int
    rank: int
    code: str
    seconds: float


def linear(widths: tuple[int, ...]) -> ComputationGraph:
    """W_0 W_1 …, W_i of shape (widths[i], widths[i + 1])."""
    factors = [st.param(f"W{index}", *sizes) for index, sizes in enumerate(pairwise(widths))]
    product = factors[0]
    for factor in factors[1:]:
        product = product @ factor
    return ComputationGraph(product, name="linear")


def relu(widths: tuple[int, ...]) -> ComputationGraph:
    """ReLU network without biases, widths from the input to the output."""
    z = st.input("x", widths[0])
    for index, (size, wide) in enumerate(pairwise(widths)):
        z = st.param(f"W{index}", wide, size) @ (st.relu(z) if index else z)
    return ComputationGraph(z, name="relu")


BUILDERS: dict[str, Callable[[tuple[int, ...]], ComputationGraph]] = {"linear": linear, "relu": relu}


def random_widths(count: int, seed: int) -> Iterator[tuple[int, ...]]:
    """Two to five layers of width 2 to 7 with at most ``MOST_PARAMETERS`` parameters."""
    rng = np.random.default_rng(seed)
    while count:
        widths = tuple(int(width) for width in rng.integers(2, 8, size=rng.integers(3, 7)))
        if sum(size * wide for size, wide in pairwise(widths)) <= MOST_PARAMETERS:
            count -= 1
            yield widths


def expected_laws(widths: tuple[int, ...]) -> int:
    """Independent entries of W_{i−1}ᵀ W_{i−1} − W_i W_iᵀ; all laws of linear networks without widths of one."""
    inner = zip(widths, widths[1:], widths[2:], strict=False)
    return sum(_triangle(size) - _triangle(size - before - behind) for before, size, behind in inner)


def _triangle(size: int) -> int:
    return size * (size + 1) // 2 if size > 0 else 0


def measure(job: tuple[str, tuple[int, ...], int, bool]) -> Measurement:
    """Count the laws of one network, or certify it: kind, widths, laws expected, whether to certify."""
    kind, widths, expected, certificate = job
    start = time.perf_counter()
    graph = BUILDERS[kind](widths)
    if certificate:
        found = certify(graph, find_symmetries(graph))
        numbers = found.parameter_count, found.conservation_laws, expected, found.momentum_conservation_laws
        return Measurement(kind, widths, *numbers, time.perf_counter() - start, found.complete)
    source = GradientSource(compile_circuit(graph), seed=0)
    ranks = Ranks(source.algebra)
    point, _ = source.regular_point(ranks)
    laws = source.dimension - lie_dimension(source, point, ranks)
    with_momentum = 2 * source.dimension + 1 - momentum_lie_dimension(source, point, ranks)
    return Measurement(kind, widths, source.dimension, laws, expected, with_momentum, time.perf_counter() - start)


def random_rationals(size: int, rank: int, seed: int) -> list[list[sp.Rational]]:
    """A product of matrices with entries of one digit, every row over a denominator of one digit."""
    rng = np.random.default_rng(seed)
    product = rng.integers(-9, 10, (size, rank)) @ rng.integers(-9, 10, (rank, size))
    denominators = rng.integers(1, 10, size)
    return [
        [sp.Rational(int(entry), int(denominator)) for entry in row]
        for row, denominator in zip(product, denominators, strict=True)
    ]


def measure_nullspaces(seed: int) -> list[NullspaceMeasurement]:
    """The exact null space of the symmetry search and SymPy's."""
    results = []
    for size, rank, codes in ((60, 45, ("symtheory", "sympy")), (200, 150, ("symtheory",))):
        rows = random_rationals(size, rank, seed)
        for code in codes:
            start = time.perf_counter()
            basis = nullspace(rows, size) if code == "symtheory" else sp.Matrix(rows).nullspace()
            seconds = time.perf_counter() - start
            if len(basis) != size - rank:
                raise ValueError(f"{code} finds a null space of dimension {len(basis)}, and it is {size - rank}")
            results.append(NullspaceMeasurement(size, rank, code, seconds))
    return results


def table(results: list[Measurement]) -> Table:
    """One row per network."""
    shown = Table(title="Conservation laws of gradient flow, modulo a prime")
    for column in ("network", "widths", "parameters", "laws", "expected", "with momentum", "seconds"):
        shown.add_column(column, justify="left" if column in ("network", "widths") else "right")
    for result in results:
        numbers = (result.parameters, result.laws, result.expected, result.momentum_laws)
        shown.add_row(result.kind, "-".join(map(str, result.widths)), *map(str, numbers), f"{result.seconds:.2f}")
    return shown


def main() -> None:
    """Parse the options, measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=50, help="random deep linear networks besides the known ones")
    parser.add_argument("--seed", type=int, default=0, help="seed of their widths")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--certificates", action="store_true", help="whole certificates instead of counts of laws")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    console = Console(stderr=True)
    known = [(*job, options.certificates) for job in KNOWN]
    drawn = [
        ("linear", widths, expected_laws(widths), options.certificates)
        for widths in random_widths(options.cases, options.seed)
    ]
    # Processes share the cores, not their linear algebra: two threads each would only wait for one another.
    os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        start = time.perf_counter()
        results = list(track(pool.map(measure, drawn), "measuring", len(drawn), console=console, transient=True))
        total = time.perf_counter() - start
        results = [*pool.map(measure, known), *results]
    nullspaces = measure_nullspaces(options.seed)
    wrong = [result for result in results if result.laws != result.expected]
    if options.json:
        versions = {"python": platform.python_version(), "sympy": sp.__version__, "numpy": np.__version__}
        summary = {"versions": versions, "workers": options.workers, "random_cases_s": total, "unexpected": len(wrong)}
        rows = {"results": results, "nullspaces": nullspaces}
        print(json.dumps(summary | {name: [asdict(row) for row in group] for name, group in rows.items()}))
        return
    Console().print(table(results))
    print(f"{options.cases} random deep linear cases: {total:.1f} s on {options.workers} processes")
    print(f"numbers of laws that are not the expected ones: {len(wrong)}")
    for found in nullspaces:
        print(f"null space, {found.size} × {found.size} of rank {found.rank}, {found.code}: {found.seconds:.2f} s")


if __name__ == "__main__":
    main()
