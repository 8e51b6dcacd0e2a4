"""What a measurement at the edge of stability costs, in forward+backward passes by count and by the clock, and memory.

    python benchmarks/bench_stability.py [--json] [--threads N] [--pairs N] [--cpu]

A tanh perceptron 512-800-700-10 of a million parameters on 256 normal samples, after some steps of SGD. One unit is
loss and gradient on the same batch, timed in the same process just before and after; reported is the median over
pairs of the ratio, with its extremes. Measured are S, u, α, β and the noise with u warm-started from the step before,
the same from a random start, and ∇S = ∇³L(u, u) alone. Memory is that of the tensors at the peak, in vectors as long
as the parameters, above the parameters, the data and the vectors started from. --cpu counts processor time in place
of the wall clock, for a machine that others use too.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable

import torch
from peak_memory import peak_bytes
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.nn.functional import cross_entropy

from numeric.sharpness import Objective
from numeric.sharpness.parameters import random_tangent, scaled
from numeric.sharpness.second_order import gradient_graph
from numeric.stability import Descent, measure_edge, third_order
from numeric.stability.third_order import third_derivative

Clock = Callable[[], float]
Row = dict[str, float | str]


def main() -> None:
    """Measure and print."""
    options = _options()
    torch.set_num_threads(options.threads)
    clock: Clock = time.process_time if options.cpu else time.perf_counter
    objective, before, descent = trained()
    how = third_order(objective)
    generator = torch.Generator().manual_seed(0)
    start = measure_edge(before, how, generator, descent.edge).vectors
    (batch,) = objective.batches()
    u = scaled(random_tangent(objective.parameters, generator), 1e-3)

    def third() -> float:
        _, leaves, gradient = gradient_graph(objective, objective.parameters, batch)
        third_derivative(leaves, gradient, u)
        return 6.0

    methods: dict[str, Callable[[], float]] = {
        "S, u, α, β, noise, warm": lambda: measure_edge(objective, how, generator, descent.edge, start=start).units,
        "S, u, α, β, noise, cold": lambda: measure_edge(objective, how, generator, descent.edge).units,
        "∇S": third,
    }
    rows = [timed(name, method, objective, clock, options.pairs) for name, method in methods.items()]
    record = {"rows": rows, "torch": torch.__version__, "machine": platform.machine(), "threads": options.threads}
    if options.json:
        print(json.dumps(record, indent=2))
        return
    table = Table("measurement", "units counted", "units by the clock", "extremes", "peak memory", box=None)
    for row in rows:
        extremes = f"{row['least']:.1f} to {row['most']:.1f}"
        table.add_row(
            str(row["name"]), f"{row['counted']:.1f}", f"{row['clock']:.1f}", extremes, f"{row['memory']:.1f}"
        )
    Console().print(table)


def trained() -> tuple[Objective, Objective, Descent]:
    """The objective at a step, at the step before it, and how it was trained."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(512, 800), nn.Tanh(), nn.Linear(800, 700), nn.Tanh(), nn.Linear(700, 10))
    data = (torch.randn(256, 512), torch.randint(10, (256,)))
    objective, descent = Objective.of(model, cross_entropy, data), Descent(0.05, 32)
    (whole,) = objective.batches()
    theta = objective.parameters
    velocity = scaled(theta, 0.0)
    earlier = theta
    for step in range(60):
        earlier = theta if step == 40 else earlier
        _, theta, velocity = descent.step(objective, descent.batch(whole, 0, step), theta, velocity)
    return objective.at(theta), objective.at(earlier), descent


def timed(name: str, method: Callable[[], float], objective: Objective, clock: Clock, pairs: int) -> Row:
    """Median over pairs of the time of the method over that of a gradient beside it."""
    (batch,) = objective.batches()

    def seconds(work: Callable[[], object], times: int) -> float:
        begun = clock()
        for _ in range(times):
            work()
        return (clock() - begun) / times

    counted, ratios = method(), []
    for _ in range(pairs):
        before = seconds(lambda: objective.gradient(objective.parameters, batch), 8)
        spent = seconds(method, 1)
        after = seconds(lambda: objective.gradient(objective.parameters, batch), 8)
        ratios.append(2 * spent / (before + after))
    return {
        "name": name,
        "counted": counted,
        "clock": statistics.median(ratios),
        "least": min(ratios),
        "most": max(ratios),
        "memory": peak_bytes(method) / sum(leaf.nbytes for leaf in objective.parameters.values()),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--cpu", action="store_true")
    for name, value in (("--threads", 1), ("--pairs", 5)):
        parser.add_argument(name, type=int, default=value)
    return parser.parse_args()


if __name__ == "__main__":
    main()
