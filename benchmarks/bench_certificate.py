"""Time of conservation-law counts and certificates: 50 deep linear cases of up to 90 parameters, and known networks.

    python benchmarks/bench_certificate.py [--cases 50] [--seed 0] [--certificates] [--json]

The 50 cases are random widths. A count is D − dim Lie(∇φ)(θ) modulo a prime, from the declaration to the number. With
--certificates the affine fields and the comparison with the propagated group are timed too.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise

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
from symtheory.symmetry.find import find_symmetries

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
    """One network: widths, parameters, laws found, laws published (None if unpublished), seconds."""

    kind: str
    widths: tuple[int, ...]
    parameters: int
    laws: int
    published: int | None
    seconds: float
    complete: bool | None = None


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


def measure(kind: str, widths: tuple[int, ...], published: int | None, certificate: bool) -> Measurement:
    """Count the laws of one network, or certify it."""
    start = time.perf_counter()
    graph = BUILDERS[kind](widths)
    if certificate:
        found = certify(graph, find_symmetries(graph))
        elapsed = time.perf_counter() - start
        laws, complete = found.conservation_laws, found.complete
        return Measurement(kind, widths, found.parameter_count, laws, published, elapsed, complete)
    source = GradientSource(compile_circuit(graph), seed=0)
    ranks = Ranks(source.algebra)
    point, _ = source.regular_point(ranks)
    laws = source.dimension - lie_dimension(source, point, ranks)
    return Measurement(kind, widths, source.dimension, laws, published, time.perf_counter() - start)


def table(results: list[Measurement]) -> Table:
    """One row per network."""
    shown = Table(title="Conservation laws of gradient flow, modulo a prime")
    for column in ("network", "widths", "parameters", "laws", "published", "seconds"):
        shown.add_column(column, justify="left" if column in ("network", "widths") else "right")
    for result in results:
        published = "" if result.published is None else str(result.published)
        cells = (str(result.parameters), str(result.laws), published, f"{result.seconds:.2f}")
        shown.add_row(result.kind, "-".join(map(str, result.widths)), *cells)
    return shown


def main() -> None:
    """Parse the options, measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=50, help="random deep linear networks besides the known ones")
    parser.add_argument("--seed", type=int, default=0, help="seed of their widths")
    parser.add_argument("--certificates", action="store_true", help="whole certificates instead of counts of laws")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    console = Console(stderr=True)
    jobs = [*KNOWN, *(("linear", widths, None) for widths in random_widths(options.cases, options.seed))]
    results = [
        measure(*job, options.certificates)
        for job in track(jobs, description="measuring", console=console, transient=True)
    ]
    total = sum(result.seconds for result in results[len(KNOWN) :])
    if options.json:
        versions = {"python": platform.python_version(), "sympy": sp.__version__}
        rows = [asdict(result) for result in results]
        print(json.dumps({"versions": versions, "random_cases_s": total, "results": rows}))
        return
    Console().print(table(results))
    print(f"{options.cases} random deep linear cases: {total:.1f} s")


if __name__ == "__main__":
    main()
